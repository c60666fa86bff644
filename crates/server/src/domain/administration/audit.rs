//! The audit log: who changed what, when, by which method, and what was refused.
//!
//! What was done is noted in the transaction that does it, so that neither is there without the other. Callers without a
//! credential are not in it, and of those with a wrong one the first in some minutes is.

use std::fmt::Display;

use allod_store::{
    CommitError, ReadError, Txn,
    tables::audit::{self, AuditEntry},
};

use super::By;
use crate::{
    app::App,
    domain::{clock, randomness},
};

/// How many entries are kept.
pub const ENTRIES_MAX: i64 = 100_000;

/// How long a subject or an outcome may be, in characters; what is longer is cut off.
pub const TEXT_CHARS_MAX: usize = 512;

/// The outcome of what was done.
pub const DONE: &str = "done";

/// Adds: it was done.
pub fn note(app: &App, txn: &mut Txn, by: &By, subject: &str) {
    add(app, txn, by, subject, DONE);
}

/// Notes that something was done that no transaction of ours does. Where that can't be written, the log of the server has
/// it.
pub async fn done(app: &App, by: &By, subject: &str) {
    alone(app, by, subject, DONE).await;
}

/// Notes that something was refused. Where even that can't be written, the log of the server has it.
pub async fn refused(app: &App, by: &By, subject: &str, why: &(dyn Display + Sync)) {
    alone(app, by, subject, &format!("refused: {why}")).await;
}

async fn alone(app: &App, by: &By, subject: &str, outcome: &str) {
    let mut txn = Txn::new();
    add(app, &mut txn, by, subject, outcome);
    if let Err(error) = app.db.commit(txn).await {
        tracing::warn!(%error, actor = %by.actor, by.method, subject, outcome, "could not be noted in the audit log");
    }
}

/// Reads the newest entries, newest first.
pub async fn newest(app: &App, limit: i64) -> Result<Vec<AuditEntry>, ReadError> {
    audit::newest(&*app.db, limit).await
}

/// Drops the oldest entries when there are more than [`ENTRIES_MAX`].
pub async fn trim(app: &App) -> Result<(), CommitError> {
    if !audit::is_over(&*app.db, ENTRIES_MAX).await.unwrap_or(true) {
        return Ok(());
    }
    let mut txn = Txn::new();
    audit::trim(&mut txn, ENTRIES_MAX);
    app.db.commit(txn).await.map(|_| ())
}

fn add(app: &App, txn: &mut Txn, by: &By, subject: &str, outcome: &str) {
    let cut = |text: &str| text.chars().take(TEXT_CHARS_MAX).collect();
    let nonce: [u8; 8] = randomness::bytes(&*app.randomness);
    audit::insert(
        txn,
        &AuditEntry {
            at: clock::to_store(app.clock.now_micros()),
            nonce: nonce.to_vec(),
            actor: by.actor.to_string(),
            method: by.method.to_owned(),
            subject: cut(subject),
            outcome: cut(outcome),
        },
    );
}
