//! A value that must not leave by accident.

use zeroize::Zeroize;

/// Holds a secret: no Debug, Display or Serialize; wiped when dropped.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Takes the secret in.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Shows the secret to code that needs it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}
