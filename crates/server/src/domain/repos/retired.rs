//! Sets of records that no repository has: replaced by an import, left by one that came to nothing, or of an account
//! that is gone. They are deleted in portions, so that writes go on meanwhile.

use allod_base::clock;
use allod_store::{CommitError, ConflictKey, ReadError, Txn, tables::records};

use crate::{
    app::App,
    limits::{RETIRED_PORTIONS_PER_PASS_MAX, RETIRED_ROWS_PER_TXN},
};

/// How many due sets are looked up at once.
const SETS_PER_READ: i64 = 16;

/// Why retired records could not be deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The deletion could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Deletes the sets that are due, as far as one pass goes; tells how many are gone.
pub async fn delete_due(app: &App) -> Result<usize, DeleteError> {
    let now = clock::to_store(app.clock.now_micros());
    let mut deleted = 0;
    let mut portions = 0..RETIRED_PORTIONS_PER_PASS_MAX;
    loop {
        let due = records::due_for_deletion(&*app.db, now, SETS_PER_READ).await?;
        if due.is_empty() {
            return Ok(deleted);
        }
        for set in due {
            loop {
                if portions.next().is_none() {
                    return Ok(deleted);
                }
                let is_empty = records::is_empty(&*app.db, set).await?;
                let mut txn = Txn::new();
                records::assert_due(&mut txn, set, now);
                if is_empty {
                    records::forget(&mut txn, set);
                } else {
                    records::delete_portion(&mut txn, set, RETIRED_ROWS_PER_TXN);
                }
                match app.db.commit(txn).await {
                    Ok(_) if is_empty => {
                        deleted += 1;
                        break;
                    }
                    Ok(_) => {}
                    // Somebody else was quicker.
                    Err(CommitError::Conflict(ConflictKey::RecordSetGone)) => break,
                    Err(error) => return Err(error.into()),
                }
            }
        }
    }
}
