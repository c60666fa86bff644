//! Whether an account takes part in the network.

use allod_store::tables::accounts::Account;

/// Whether an account takes part in the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// It does.
    Active,
    /// Its owner, or its not having moved in yet, keeps it out.
    Deactivated,
    /// It waits in the sign-up queue, or is just being admitted.
    Queued,
    /// A moderation decision keeps it out.
    TakenDown,
}

impl Status {
    /// Reads an account's status.
    pub fn of(account: &Account) -> Self {
        let status = Self::with(account.takedown_ref.is_some(), account.deactivated_at.is_some());
        if status == Self::Deactivated && account.is_queued { Self::Queued } else { status }
    }

    /// Tells the status of an account that is taken down or not, deactivated or not.
    pub fn with(is_taken_down: bool, is_deactivated: bool) -> Self {
        if is_taken_down {
            Self::TakenDown
        } else if is_deactivated {
            Self::Deactivated
        } else {
            Self::Active
        }
    }

    /// Whether the account takes part.
    pub fn is_active(self) -> bool {
        self == Self::Active
    }

    /// The protocol's name for an inactive status.
    pub fn name(self) -> Option<&'static str> {
        match self {
            Self::Active => None,
            // Nobody else is to know of the queue.
            Self::Deactivated | Self::Queued => Some("deactivated"),
            Self::TakenDown => Some("takendown"),
        }
    }
}
