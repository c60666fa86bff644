//! How the server is doing: whether its store takes writes, what damage was found, and what to do about it.

use allod_base::clock;
use allod_store::{ReadError, StoreState, tables::scrub};
use serde::{Deserialize, Serialize};

use crate::app::App;

/// How the server is doing.
#[derive(Debug, Serialize, Deserialize)]
pub struct ServerStatus {
    /// The version that runs.
    pub version: String,
    /// Whether the store takes writes.
    pub takes_writes: bool,
    /// The pages and events that are damaged, as far as they are listed.
    pub damaged_places: Vec<DamagedPlace>,
    /// The repositories, records and blobs that are damaged, as far as they are listed.
    pub damaged_data: Vec<DamagedData>,
    /// How much more damage was met than is listed.
    pub further_damage: u64,
    /// Where the scrub is; none before its first round.
    pub scrub: Option<ScrubStatus>,
    /// What is wrong, and what to do; nothing when all is well.
    pub problems: Vec<StatusProblem>,
}

/// A damaged place of the store.
#[derive(Debug, Serialize, Deserialize)]
pub struct DamagedPlace {
    /// The file.
    pub file: String,
    /// The page, counted from 1, where it is known.
    pub page: Option<u64>,
    /// What is wrong.
    pub what: String,
    /// How often it was met.
    pub count: u64,
}

/// Damaged data.
#[derive(Debug, Serialize, Deserialize)]
pub struct DamagedData {
    /// A repository, a record's URI, or a blob's DID and CID.
    pub subject: String,
    /// What is wrong.
    pub what: String,
    /// How often it was met.
    pub count: u64,
}

/// Where the scrub is.
#[derive(Debug, Serialize, Deserialize)]
pub struct ScrubStatus {
    /// When this round began, RFC 3339.
    pub started_at: String,
    /// When it ended, RFC 3339; none while it goes on.
    pub ended_at: Option<String>,
    /// The account it is at.
    pub account: Option<String>,
}

/// Something that is wrong, and what to do about it.
#[derive(Debug, Serialize, Deserialize)]
pub struct StatusProblem {
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// Tells how the server is doing.
pub(super) async fn status(app: &App) -> ServerStatus {
    let state = app.db.state();
    let (damaged, further) = app.integrity.list();
    let scrub = scrub::read(&*app.db).await;
    let problems = problems(&state, !damaged.is_empty(), scrub.as_ref().err());
    let places = state.damages.into_iter().map(|damage| DamagedPlace {
        file: damage.file.display().to_string(),
        page: damage.page,
        what: damage.what,
        count: damage.count,
    });
    let damaged = damaged.into_iter().map(|damage| DamagedData {
        subject: damage.subject,
        what: damage.what.to_owned(),
        count: damage.count,
    });
    let at = |micros| clock::datetime(clock::from_store(micros));
    ServerStatus {
        version: app.config.service.version.clone(),
        takes_writes: state.failed.is_none(),
        damaged_places: places.collect(),
        damaged_data: damaged.collect(),
        further_damage: state.further_damages + further,
        scrub: scrub.ok().flatten().map(|scrub| ScrubStatus {
            started_at: at(scrub.started_at),
            ended_at: scrub.ended_at.map(at),
            account: Some(scrub.did).filter(|did| scrub.ended_at.is_none() && !did.is_empty()),
        }),
        problems,
    }
}

fn problems(state: &StoreState, is_data_damaged: bool, unreadable: Option<&ReadError>) -> Vec<StatusProblem> {
    let mut problems = Vec::new();
    let mut add = |problem: String, remedy: &str| problems.push(StatusProblem { problem, remedy: remedy.to_owned() });
    if let Some(reason) = &state.failed {
        add(
            format!("the store takes no writes: {reason}"),
            "check the disk (kernel log, free space, mount options), then restart the server; if it fails again, \
             restore the newest backup",
        );
    }
    if let Some(error) = unreadable {
        add(format!("the store can't be read: {error}"), "check the disk, then restart the server");
    }
    if !state.damages.is_empty() {
        add(
            "the database file is damaged".to_owned(),
            "copy the data directory, run `allod repo verify --all --blobs --events` to see whose data is affected, and \
             restore that from a backup; replace the disk",
        );
    }
    if is_data_damaged {
        add(
            "stored records, blobs or events are damaged; they are not served".to_owned(),
            "bring damaged blobs back from a backup of the blobs' directory, or have their owner upload them again; \
             write damaged records again, or import the repository from a copy (`allod repo import`)",
        );
    }
    problems
}
