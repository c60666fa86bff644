//! What every engine must do: one suite, run on each engine and on each wrapper around one.
//!
//! A case gets storage of its own and may open it again and again. It says what is wrong by panicking.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a case fails by panicking")]

mod blobs;
mod events;
mod lifecycle;
mod transactions;
mod values;

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;

use crate::{ConflictKey, Db, EventKind, NewEvent, Statement, Txn, sql};

/// How long a case may take, on a slow machine in a debug build.
const CASE_SECONDS_MAX: u64 = 60;

/// One storage location under test.
pub trait Engine: Send + Sync + 'static {
    /// Opens the storage: what an earlier handle left, closed by then, is there.
    fn open(&self) -> Db;

    /// Where a copy may be written; nothing is there yet.
    fn backup_path(&self) -> PathBuf;
}

/// One requirement.
#[derive(Clone, Copy)]
pub struct Case {
    /// What is required, as a sentence in one word.
    pub name: &'static str,
    run: fn(Arc<dyn Engine>) -> BoxFuture<'static, ()>,
}

macro_rules! cases {
    ($($group:ident :: $name:ident),* $(,)?) => {
        &[$(Case { name: stringify!($name), run: |engine| Box::pin($group::$name(engine)) }),*]
    };
}

/// All requirements.
pub const CASES: &[Case] = cases![
    values::every_type_reads_back,
    values::parameters_go_by_their_number,
    values::a_wrong_parameter_list_is_refused,
    values::a_large_value_reads_back,
    values::reads_cannot_write,
    values::an_answer_ends_with_its_bytes,
    transactions::an_empty_transaction_is_applied,
    transactions::a_wrong_row_count_is_a_conflict,
    transactions::a_taken_key_is_a_conflict_in_an_assertion,
    transactions::a_taken_key_is_refused_in_a_statement,
    transactions::a_found_row_is_a_conflict_for_absence,
    transactions::wrong_sql_is_refused_and_harms_nobody,
    transactions::a_failing_transaction_fails_alone,
    transactions::one_of_many_swaps_wins,
    transactions::a_reader_sees_what_was_acknowledged,
    transactions::a_table_made_in_a_refused_transaction_is_gone,
    events::events_are_numbered_in_one_run,
    events::a_refused_transaction_leaves_no_event,
    events::events_are_read_in_pages,
    events::days_that_overlap_are_read_in_order,
    events::an_event_out_of_time_is_refused,
    events::a_tailing_reader_misses_nothing,
    events::the_watch_tells_only_what_can_be_read,
    events::large_events_come_in_smaller_pages,
    events::old_days_are_dropped,
    events::the_sequence_is_raised_and_never_lowered,
    blobs::a_blob_is_stored_once,
    blobs::an_account_holds_no_more_than_it_may,
    blobs::many_blobs_are_read_at_once,
    blobs::a_reference_needs_its_blob,
    blobs::a_taken_down_blob_is_not_referred_to,
    blobs::an_imported_reference_may_come_before_its_blob,
    blobs::the_last_reference_gone_the_blob_is_unreferenced,
    blobs::other_accounts_and_record_sets_are_left_alone,
    blobs::what_a_record_waits_for_is_referred_to_from_the_start,
    blobs::a_blob_is_renewed_only_as_it_was_read,
    blobs::what_records_refer_to_is_listed_in_pages,
    blobs::only_long_unreferenced_blobs_are_removed,
    blobs::objects_and_usage_are_known,
    lifecycle::everything_is_there_after_opening_again,
    lifecycle::numbers_go_on_after_everything_was_dropped,
    lifecycle::waiting_writes_are_finished_by_close,
    lifecycle::nothing_is_taken_after_close,
    lifecycle::work_handed_over_is_done_without_its_caller,
    lifecycle::a_backup_never_replaces_a_file,
];

/// Runs every case on a fresh engine of its own; panics with the list of those that failed.
pub async fn run(fresh: impl Fn() -> Arc<dyn Engine>) {
    let mut failures = Vec::new();
    for case in CASES {
        let work = tokio::spawn((case.run)(fresh()));
        match tokio::time::timeout(Duration::from_secs(CASE_SECONDS_MAX), work).await {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => failures.push(format!("{}: {panic}", case.name)),
            Err(_) => failures.push(format!("{}: not done after {CASE_SECONDS_MAX} s", case.name)),
        }
    }
    assert!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), CASES.len(), failures.join("\n"));
}

/// Inserts a fact, failing with the conflict `taken` when its name is there already.
fn put(name: &str, value: &[u8]) -> Txn {
    let mut txn = Txn::new();
    txn.expect(ConflictKey::Test("taken"), 1, insert(name, value));
    txn
}

fn insert(name: &str, value: &[u8]) -> Statement {
    sql!("INSERT INTO meta (name, value) VALUES ($1, $2)", name, value)
}

/// Reads a fact.
async fn value(db: &Db, name: &str) -> Option<Bytes> {
    let rows = db.read(sql!("SELECT value FROM meta WHERE name = $1", name)).await.expect("meta can be read");
    rows.first().map(|row| row.get(0).expect("the value is a blob"))
}

/// An event that can be told from others by its number `n`, made in the given day since the epoch.
fn event(n: u32, day: i64) -> NewEvent {
    NewEvent {
        did: format!("did:plc:{n:024}"),
        kind: EventKind::Commit,
        time_micros: day * 86_400_000_000 + i64::from(n),
        before: Bytes::from(format!("before {n}")),
        after: Bytes::from(format!("after {n}")),
    }
}

/// A transaction of nothing but events.
fn of_events(events: impl IntoIterator<Item = NewEvent>) -> Txn {
    let mut txn = Txn::new();
    events.into_iter().for_each(|event| txn.event(event));
    txn
}
