//! Whether the file can still be trusted, and the damage that was found in it.
//!
//! An error of the writer or of a checkpoint stops all writes. Damage that a reader meets does not: it is logged once,
//! counted, and searched for by page on a thread of its own.

use std::{
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
};

use parking_lot::Mutex;
use rusqlite::Connection;

use crate::{DAMAGES_MAX, Damage, DamageLog, ReadError, Row, SqlValue, Statement, StoreState};

use super::{
    SqliteOptions,
    connection::{self, Role},
    failure::Cause,
    spawn,
};

/// How many findings one search for damaged pages gives at most. With more, `SQLite` goes on to read the rows, fails at the
/// damaged page and gives none.
const FINDINGS_PER_SEARCH_MAX: u32 = 1;
/// How many searches one opening makes at most: each reads the whole file.
const SEARCHES_MAX: u32 = 5;
/// After how many instructions of the engine a search looks whether it is to stop.
const SEARCH_STEPS_PER_LOOK: i32 = 1000;

/// Whether the store can still be trusted.
#[derive(Debug)]
pub(super) struct Health {
    options: SqliteOptions,
    broken: OnceLock<String>,
    found: Mutex<Found>,
    is_closing: AtomicBool,
}

#[derive(Debug, Default)]
struct Found {
    damages: Vec<Damage>,
    further: u64,
    is_searching: bool,
    search: Option<JoinHandle<()>>,
    searches: u32,
}

impl Health {
    pub(super) fn new(options: &SqliteOptions) -> Arc<Self> {
        Arc::new(Self {
            options: options.clone(),
            broken: OnceLock::new(),
            found: Mutex::default(),
            is_closing: AtomicBool::new(false),
        })
    }

    /// Stops all further writes. The first reason is kept.
    pub(super) fn break_with(self: &Arc<Self>, cause: Cause, reason: &str) {
        if self.broken.set(format!("the engine stopped after an error, restart required: {reason}")).is_ok() {
            let file = self.file().display();
            tracing::error!(reason, %file, "the database failed; it rejects all writes until a restart");
            if cause == Cause::Damage {
                self.search();
            }
        }
    }

    pub(super) fn broken(&self) -> Option<&str> {
        self.broken.get().map(String::as_str)
    }

    pub(super) fn state(&self) -> StoreState {
        let found = self.found.lock();
        StoreState {
            failed: self.broken().map(str::to_owned),
            damages: found.damages.clone(),
            further_damages: found.further,
        }
    }

    /// Notes damage that a query met.
    pub(super) fn query_failed(self: &Arc<Self>, query: &Statement, error: &rusqlite::Error) {
        self.note(None, &reading(error, query, did_in(&query.params)));
        self.search();
    }

    /// Notes damage of the event log.
    pub(super) fn event_failed(&self, what: &str) {
        self.note(None, what);
    }

    /// Notes damage and logs it, the first time and then each time its count has another digit.
    fn note(&self, page: Option<u64>, what: &str) {
        let mut found = self.found.lock();
        let is_full = found.damages.len() >= DAMAGES_MAX;
        let known = found.damages.iter_mut().find(|damage| damage.what == what && damage.page == page);
        let count = match known {
            Some(damage) => {
                damage.count += 1;
                damage.count
            }
            None if is_full => {
                found.further += 1;
                found.further
            }
            None => {
                found.damages.push(Damage { file: self.file().to_owned(), page, what: what.to_owned(), count: 1 });
                1
            }
        };
        drop(found);
        if is_power_of_ten(count) {
            let file = self.file().display();
            tracing::error!(%file, page, what, count, "the database is damaged; run `allod status` for the remedy");
        }
    }

    #[cfg(test)]
    pub(super) fn is_searching(&self) -> bool {
        self.found.lock().is_searching
    }

    /// Looks for damaged pages, unless that is being done or was done often enough.
    pub(super) fn search(self: &Arc<Self>) {
        let mut found = self.found.lock();
        if found.is_searching || found.searches >= SEARCHES_MAX || self.is_closing.load(Ordering::Acquire) {
            return;
        }
        (found.is_searching, found.searches) = (true, found.searches + 1);
        let health = Arc::clone(self);
        let search = move || {
            let findings = health.damaged_pages();
            for finding in findings.unwrap_or_else(|error| vec![format!("the search for damaged pages: {error}")]) {
                health.note(page_of(&finding), &finding);
            }
            health.found.lock().is_searching = false;
        };
        match spawn("store-search", search) {
            Ok(thread) => found.search = Some(thread),
            Err(error) => {
                tracing::warn!(%error, "can't start the search for damaged pages");
                found.is_searching = false;
            }
        }
    }

    /// Ends a search that is under way, and waits for its thread. None begins afterwards.
    pub(super) fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        let search = self.found.lock().search.take();
        if search.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the search for damaged pages panicked");
        }
    }

    fn damaged_pages(self: &Arc<Self>) -> Result<Vec<String>, super::OpenError> {
        let engine = |source| super::OpenError::Engine { what: "search for damaged pages", source };
        let mut connection = connection::connect(&self.options, Role::Reader)?;
        let health = Arc::clone(self);
        let is_closing = move || health.is_closing.load(Ordering::Acquire);
        connection.progress_handler(SEARCH_STEPS_PER_LOOK, Some(is_closing)).map_err(engine)?;
        let findings = quick_check(&connection);
        // That it was ended is no finding.
        if self.is_closing.load(Ordering::Acquire) { Ok(Vec::new()) } else { findings.map_err(engine) }
    }

    fn file(&self) -> &Path {
        &self.options.path
    }
}

impl DamageLog for Health {
    fn row_unreadable(&self, query: &Statement, row: &Row, error: &ReadError) {
        self.note(None, &reading(error, query, did_in(&query.params).or_else(|| did_in(&row.0))));
    }
}

/// Whose rows are damaged. Other values may be secrets.
fn did_in(values: &[SqlValue]) -> Option<&str> {
    values.iter().find_map(|value| match value {
        SqlValue::Text(text) if text.starts_with("did:") => Some(text.as_str()),
        SqlValue::Text(_) | SqlValue::Null | SqlValue::Integer(_) | SqlValue::Blob(_) => None,
    })
}

/// What was being read, and what is wrong; the query names the table.
fn reading(error: &dyn std::error::Error, query: &Statement, did: Option<&str>) -> String {
    match did {
        Some(did) => format!("{error}, reading rows of {did}: {}", query.sql),
        None => format!("{error}: {}", query.sql),
    }
}

/// Breaks the store when the thread that holds it panics: what the thread had half done is not known.
pub(super) struct BreakOnPanic<'a> {
    /// The store's.
    pub(super) health: &'a Arc<Health>,
    /// The thread's name.
    pub(super) thread: &'static str,
}

impl Drop for BreakOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.health.break_with(Cause::Failure, &format!("the {} thread panicked", self.thread));
        }
    }
}

fn is_power_of_ten(count: u64) -> bool {
    count > 0 && 10_u64.checked_pow(count.ilog10()) == Some(count)
}

fn quick_check(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut findings = Vec::new();
    let mut statement = connection.prepare(&format!("PRAGMA quick_check({FINDINGS_PER_SEARCH_MAX})"))?;
    for row in statement.query_map([], |row| row.get::<_, String>(0))? {
        let row = match row {
            Ok(row) => row,
            // What was found before it is what counts.
            Err(error) => {
                findings.push(format!("the search for damaged pages ended early: {error}"));
                break;
            }
        };
        let lines = row.lines().map(str::trim).filter(|line| !line.is_empty() && *line != "ok");
        findings.extend(lines.filter(|line| !line.starts_with("***")).map(str::to_owned));
    }
    Ok(findings)
}

/// The page that a finding names: "Tree 7 page 12: …", "Page 12: …".
fn page_of(finding: &str) -> Option<u64> {
    let lower = finding.to_ascii_lowercase();
    let (_, behind) = lower.split_once("page ")?;
    let digits = behind.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_names_its_page() {
        for (finding, page) in [
            ("Tree 7 page 12: btreeInitPage() returns error code 11", Some(12)),
            ("Tree 7 page 12 cell 3: Rowid 55 out of order", Some(12)),
            ("Page 45: never used", Some(45)),
            ("row 3 missing from index x", None),
        ] {
            assert_eq!(page_of(finding), page, "{finding}");
        }
        let logged: Vec<u64> = (0..1001).filter(|count| is_power_of_ten(*count)).collect();
        assert_eq!(logged, [1, 10, 100, 1000]);
    }
}
