//! Named places between the durable steps of a sign-up, where tests let it crash, fail or hang.

use futures_util::future::BoxFuture;

use super::SignUpError;
use crate::app::App;

/// A place between two durable steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Failpoint {
    /// Everything is checked, nothing is written.
    Admitted,
    /// Names, invite use, key and operation are held.
    Reserved,
    /// The password is hashed.
    Hashed,
    /// The operation is about to be sent, and that is durable.
    Submitting,
    /// The directory has answered.
    Answered,
    /// The account is about to be written.
    Activating,
    /// The account is durable, the caller has no answer.
    Activated,
    /// The reservation is about to be released.
    Releasing,
    /// It is decided that an account that waited is let in.
    LettingIn,
    /// The account that waited has its DID, and is about to be activated.
    LetIn,
}

impl Failpoint {
    /// Every place of a sign-up that does not wait, in order.
    pub const ALL: [Self; 8] = [
        Self::Admitted,
        Self::Reserved,
        Self::Hashed,
        Self::Submitting,
        Self::Answered,
        Self::Activating,
        Self::Activated,
        Self::Releasing,
    ];
}

/// Decides what happens at a place: goes on, fails with the message, or never comes back.
pub trait Failpoints: Send + Sync + 'static {
    /// Is asked at every place.
    fn hit(&self, failpoint: Failpoint) -> BoxFuture<'_, Result<(), String>>;
}

/// Passes a place.
pub(super) async fn pass(app: &App, failpoint: Failpoint) -> Result<(), SignUpError> {
    match &app.failpoints {
        Some(failpoints) => failpoints.hit(failpoint).await.map_err(SignUpError::Internal),
        None => Ok(()),
    }
}
