//! The event log in tables: one for each day, a catalogue of them, and the counter row.
//!
//! The writer owns the numbering; readers see a table only once the transaction that made it is durable.
//! Two days' tables may overlap in their numbers, because a day is the event's own time and a number is its commit's.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use rusqlite::{Connection, params};

use crate::{CommitError, Event, EventDay, EventKind, NewEvent, SEQ_MAX, Seq, tables::meta};

use super::failure::{self, Failure};

/// How many events one portion of a retention run removes.
const TRIM_EVENTS_PER_PORTION: u16 = 500;
/// How many bytes of frames one read of the log holds at most (one event may be larger).
const EVENTS_READ_BYTES_MAX: usize = 1024 * 1024;
/// How large the buffers are that events of one read share, in bytes: small for a few, so that a short read is cheap.
const SHARED_BUFFER_BYTES: std::ops::RangeInclusive<usize> = 4 * 1024..=128 * 1024;

/// The writer's view of the log: the newest number and the days that have a table.
#[derive(Debug)]
pub(super) struct EventLog {
    /// The newest number given, durable or in the open group.
    pub(super) seq: Seq,
    days: BTreeMap<EventDay, DayTable>,
    /// The open transaction made or dropped a table, so that rolling it back must reload `days`.
    pub(super) days_changed: bool,
}

#[derive(Debug)]
struct DayTable {
    insert: String,
}

/// What is wrong with a stored log.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogError {
    #[error(transparent)]
    Engine(#[from] rusqlite::Error),
    #[error("{0}")]
    Invalid(String),
}

impl EventLog {
    /// Reads the log's state and checks that no stored event is newer than the counter.
    pub(super) fn load(connection: &Connection) -> Result<Self, LogError> {
        let seq: Seq = connection.query_row("SELECT seq FROM event_counter WHERE id = 1", [], |row| row.get(0))?;
        let mut log = Self { seq, days: BTreeMap::new(), days_changed: false };
        log.reload_days(connection)?;
        for day in log.days.keys() {
            add_checksums(connection, *day)?;
            let newest: Option<Seq> =
                connection.query_row(&format!("SELECT max(seq) FROM events_{day}"), [], |row| row.get(0))?;
            if newest.is_some_and(|newest| newest > seq) {
                let newest = newest.unwrap_or_default();
                return Err(LogError::Invalid(format!("event {newest} of day {day} is newer than the counter, {seq}")));
            }
        }
        Ok(log)
    }

    /// Reads the catalogue again, as the connection sees it now.
    pub(super) fn reload_days(&mut self, connection: &Connection) -> Result<(), LogError> {
        let mut statement = connection.prepare_cached("SELECT day FROM event_days")?;
        let numbers = statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<i64>>>()?;
        self.days.clear();
        for number in numbers {
            let day = EventDay::from_number(number)
                .ok_or_else(|| LogError::Invalid(format!("{number} in event_days is not a day")))?;
            self.days.insert(day, DayTable::new(day));
        }
        self.days_changed = false;
        Ok(())
    }

    /// Appends an event under the next number.
    pub(super) fn append(&mut self, connection: &Connection, event: &NewEvent) -> Result<Seq, Failure> {
        let refused = |reason: &str| Failure::Transaction(CommitError::Refused { reason: reason.to_owned() });
        let day = EventDay::of_micros(event.time_micros).ok_or_else(|| refused("the event's time is out of range"))?;
        if event.kind == EventKind::Damaged {
            return Err(refused("a damaged event can't be appended"));
        }
        let seq = self.seq + 1;
        if seq > SEQ_MAX {
            return Err(refused("the event log has no numbers left"));
        }
        if !self.days.contains_key(&day) {
            self.create_day(connection, day, seq).map_err(|error| failure::of_statement(&error, None))?;
        }
        let table = self.days.get(&day).ok_or_else(|| refused("there is no event table for the day"))?;
        let insert = || {
            connection.prepare_cached(&table.insert)?.execute(params![
                seq,
                event.did,
                event.kind.code(),
                event.time_micros,
                event.before.as_ref(),
                event.after.as_ref(),
                checksum(seq, &event.did, event.kind.code(), event.time_micros, (&event.before, &event.after))
            ])
        };
        insert().map_err(|error| failure::of_statement(&error, None))?;
        self.seq = seq;
        Ok(seq)
    }

    fn create_day(&mut self, connection: &Connection, day: EventDay, first_seq: Seq) -> rusqlite::Result<()> {
        self.days_changed = true;
        connection.execute_batch(&format!(
            "CREATE TABLE events_{day} (
                 seq INTEGER NOT NULL PRIMARY KEY,
                 did TEXT NOT NULL,
                 kind INTEGER NOT NULL,
                 time_micros INTEGER NOT NULL,
                 frame_before BLOB NOT NULL,
                 frame_after BLOB NOT NULL,
                 crc32c INTEGER
             ) STRICT"
        ))?;
        connection
            .prepare_cached("INSERT INTO event_days (day, first_seq) VALUES (?1, ?2)")?
            .execute([day.number(), first_seq])?;
        self.days.insert(day, DayTable::new(day));
        Ok(())
    }

    /// Removes a portion of the oldest day before `before`; true while there is more to remove.
    pub(super) fn trim(&mut self, connection: &Connection, before: EventDay) -> rusqlite::Result<bool> {
        let Some(day) = self.days.keys().next().copied().filter(|day| *day < before) else { return Ok(false) };
        let portion = format!("SELECT seq FROM events_{day} ORDER BY seq LIMIT ?1");
        let last: Option<Seq> =
            connection
                .query_row(&format!("SELECT max(seq) FROM ({portion})"), [TRIM_EVENTS_PER_PORTION], |row| row.get(0))?;
        if let Some(last) = last {
            // Big-endian bytes compare like the numbers that they are.
            connection
                .prepare_cached(
                    "INSERT INTO meta (name, value) VALUES (?1, ?2) \
                     ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)",
                )?
                .execute(params![meta::EVENTS_TRIMMED, last.to_be_bytes()])?;
        }
        let removed = connection
            .execute(&format!("DELETE FROM events_{day} WHERE seq IN ({portion})"), [TRIM_EVENTS_PER_PORTION])?;
        if removed < usize::from(TRIM_EVENTS_PER_PORTION) {
            self.days_changed = true;
            connection.execute_batch(&format!("DROP TABLE events_{day}"))?;
            connection.execute("DELETE FROM event_days WHERE day = ?1", [day.number()])?;
            self.days.remove(&day);
        }
        Ok(true)
    }

    /// Writes the counter row.
    pub(super) fn store_counter(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.prepare_cached("UPDATE event_counter SET seq = ?1 WHERE id = 1")?.execute([self.seq]).map(drop)
    }
}

impl DayTable {
    fn new(day: EventDay) -> Self {
        let insert = format!(
            "INSERT INTO events_{day} (seq, did, kind, time_micros, frame_before, frame_after, crc32c) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"
        );
        Self { insert }
    }
}

/// Gives a table that was made before events had checksums the column for them. Its events have none.
fn add_checksums(connection: &Connection, day: EventDay) -> rusqlite::Result<()> {
    let mut columns = connection.prepare("SELECT 1 FROM pragma_table_info(?1) WHERE name = 'crc32c'")?;
    if columns.exists([format!("events_{day}")])? {
        return Ok(());
    }
    connection.execute_batch(&format!("ALTER TABLE events_{day} ADD COLUMN crc32c INTEGER"))
}

/// The CRC-32C of everything that a row says.
fn checksum(seq: Seq, did: &str, kind: i64, time_micros: i64, (before, after): (&[u8], &[u8])) -> u32 {
    let length = |bytes: usize| i64::try_from(bytes).unwrap_or(i64::MAX);
    let mut head = [0_u8; 40];
    let numbers = [seq, kind, time_micros, length(did.len()), length(before.len())];
    for (place, number) in head.chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    [did.as_bytes(), before, after].iter().fold(crc32c::crc32c(&head), |crc, bytes| crc32c::crc32c_append(crc, bytes))
}

/// Reads events with a number above `after` in one snapshot, in order, without a gap between first and last.
pub(super) fn read(connection: &Connection, after: Seq, limit: usize) -> Result<Vec<Event>, LogError> {
    connection.prepare_cached("BEGIN")?.execute([])?;
    let events = read_in_snapshot(connection, after, limit);
    connection.prepare_cached("COMMIT")?.execute([])?;
    events
}

fn read_in_snapshot(connection: &Connection, after: Seq, limit: usize) -> Result<Vec<Event>, LogError> {
    let mut statement = connection.prepare_cached("SELECT day, first_seq FROM event_days ORDER BY first_seq, day")?;
    let days = statement
        .query_map([], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, Seq>(1)?)))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    let (mut events, mut copies) = (Vec::new(), Copies::default());
    // No event above this number may be given: a table read only in part may have smaller ones left.
    let mut ceiling = Seq::MAX;
    for (number, first_seq) in days {
        if first_seq > ceiling || limit == 0 {
            break;
        }
        let day = EventDay::from_number(number)
            .ok_or_else(|| LogError::Invalid(format!("{number} in event_days is not a day")))?;
        if let Some(last) = read_day(connection, day, (after, ceiling), limit, (&mut events, &mut copies))? {
            ceiling = last;
        }
    }
    events.sort_unstable_by_key(|event| event.seq);
    events.retain(|event| event.seq <= ceiling);
    events.truncate(limit);
    events.truncate(count_within_bytes(&events));
    Ok(events)
}

/// Copies bytes into buffers that they share, so that a page of events is not thousands of allocations.
#[derive(Default)]
struct Copies {
    room: BytesMut,
    buffer_bytes: usize,
}

impl Copies {
    fn copy(&mut self, bytes: &[u8]) -> Bytes {
        if self.room.capacity() < bytes.len() {
            let (smallest, largest) = (*SHARED_BUFFER_BYTES.start(), *SHARED_BUFFER_BYTES.end());
            self.buffer_bytes = (self.buffer_bytes * 2).clamp(smallest, largest);
            self.room = BytesMut::with_capacity(self.buffer_bytes.max(bytes.len()));
        }
        self.room.extend_from_slice(bytes);
        self.room.split().freeze()
    }
}

/// How many of the first events one answer may hold.
fn count_within_bytes(events: &[Event]) -> usize {
    let mut bytes = 0;
    let within = events.iter().take_while(|event| {
        let fits = bytes < EVENTS_READ_BYTES_MAX;
        bytes += frame_bytes(event);
        fits
    });
    within.count()
}

fn frame_bytes(event: &Event) -> usize {
    event.before.len() + event.after.len()
}

/// Reads one day's events in `range` (both ends: above the first, up to the second); gives the last number read when
/// it stopped before the end. Damaged events don't count towards `limit`, so that an answer always ends with a number
/// that can be trusted, or with the day.
fn read_day(
    connection: &Connection,
    day: EventDay,
    range: (Seq, Seq),
    limit: usize,
    (into, copies): (&mut Vec<Event>, &mut Copies),
) -> Result<Option<Seq>, LogError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT seq, did, kind, time_micros, frame_before, frame_after, crc32c FROM events_{day} \
         WHERE seq > ?1 AND seq <= ?2 ORDER BY seq"
    ))?;
    let mut rows = statement.query([range.0, range.1])?;
    let (mut count, mut bytes, mut previous, begin) = (0, 0, range.0, into.len());
    while let Some(row) = rows.next()? {
        let Some(event) = whole(row, copies) else {
            if let Some(seq) = damaged_seq(connection, row.get(0)?, previous)? {
                into.push(damaged(seq));
                previous = seq;
            }
            continue;
        };
        renumber_damaged(into.get_mut(begin..).unwrap_or_default(), event.seq);
        count += 1;
        bytes += frame_bytes(&event);
        let seq = event.seq;
        previous = seq;
        into.push(event);
        if count >= limit || bytes >= EVENTS_READ_BYTES_MAX {
            return Ok(Some(seq));
        }
    }
    Ok(None)
}

/// Reads an event that is what was appended.
fn whole(row: &rusqlite::Row<'_>, copies: &mut Copies) -> Option<Event> {
    let (seq, code, time_micros) = (row.get(0).ok()?, row.get(2).ok()?, row.get(3).ok()?);
    let did = row.get_ref(1).ok()?.as_str().ok()?;
    let before = row.get_ref(4).ok()?.as_blob().ok()?;
    let after = row.get_ref(5).ok()?.as_blob().ok()?;
    let expected: Option<i64> = row.get(6).ok()?;
    let kind = EventKind::from_code(code)?;
    if let Some(expected) = expected
        && i64::from(checksum(seq, did, code, time_micros, (before, after))) != expected
    {
        return None;
    }
    let (before, after) = (copies.copy(before), copies.copy(after));
    Some(Event { seq, did: did.to_owned(), kind, time_micros, before, after })
}

/// The number under which a damaged row is shown: its own, unless that can't be. None above the newest number.
fn damaged_seq(connection: &Connection, found: Seq, previous: Seq) -> Result<Option<Seq>, LogError> {
    let newest: Seq = connection.query_row("SELECT seq FROM event_counter WHERE id = 1", [], |row| row.get(0))?;
    let seq = if found > previous && found <= newest { found } else { previous + 1 };
    Ok((seq <= newest).then_some(seq))
}

/// Gives the last events, where they are damaged, numbers below `seq`: theirs may be anything.
fn renumber_damaged(events: &mut [Event], seq: Seq) {
    let mut behind = seq;
    for event in events.iter_mut().rev().take_while(|event| event.kind == EventKind::Damaged) {
        event.seq = event.seq.min(behind - 1);
        behind = event.seq;
    }
}

fn damaged(seq: Seq) -> Event {
    Event {
        seq,
        did: String::new(),
        kind: EventKind::Damaged,
        // A search for a moment then begins before it.
        time_micros: i64::MAX,
        before: Bytes::new(),
        after: Bytes::new(),
    }
}
