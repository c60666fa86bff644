//! Randomness as an argument.

/// A source of unpredictable bytes; tests seed it.
pub trait Randomness: Send + Sync + 'static {
    /// Fills the buffer with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// Returns `N` random bytes.
pub fn bytes<const N: usize>(randomness: &dyn Randomness) -> [u8; N] {
    let mut buffer = [0; N];
    randomness.fill(&mut buffer);
    buffer
}
