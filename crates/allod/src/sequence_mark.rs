//! A file beside the database that says which event numbers may have been given out, for a database that is restored from
//! an older copy must not give them out again.
//!
//! The file's number is far ahead of the newest event, so that it is written once in many events. In production numbers
//! also begin, at each start, at the milliseconds since [`EPOCH_MILLIS`]: that covers copies of the whole directory and of
//! the machine, whose file is as old as their database, and servers that began anew under an old name. (ADR 0018)

use std::{fs, path::PathBuf};

use allod_store::{SEQ_MAX, Seq};
use tokio::sync::watch;

use crate::data_directory::{DataDirectory, write_private};

/// How far the file's number is ahead of the newest event.
const AHEAD: Seq = 1_000_000;

/// 2026-01-01T00:00:00Z, in milliseconds since the Unix epoch: no server has given out an event before.
const EPOCH_MILLIS: u64 = 1_767_225_600_000;

/// The marks of one data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SequenceMark {
    path: PathBuf,
    /// No larger number has been given out.
    reserved: Seq,
    /// This one was given out, or the operator raised the sequence to it.
    given: Seq,
}

impl SequenceMark {
    /// Reads the file; a directory without one has no marks.
    pub(crate) fn read(data: &DataDirectory) -> Self {
        let path = data.event_sequence();
        let (reserved, given) = match fs::read_to_string(&path) {
            Ok(text) => parse(&text).unwrap_or_else(|| {
                tracing::warn!(file = %path.display(), "ignoring the file event-sequence: it has no valid number");
                (0, 0)
            }),
            Err(reason) => {
                if reason.kind() != std::io::ErrorKind::NotFound {
                    tracing::warn!(file = %path.display(), %reason, "can't read the file event-sequence");
                }
                (0, 0)
            }
        };
        Self { path, reserved, given }
    }

    /// Above which number events must be numbered from now on.
    pub(crate) fn floor(&self, now_micros: u64) -> Seq {
        clock_floor(now_micros).max(self.reserved)
    }

    /// Tells whether a database that has numbered events up to `newest` is older than the numbers that were given out.
    pub(crate) fn is_behind(&self, newest: Seq) -> bool {
        newest < self.given
    }

    /// The largest number that is known to have been given out.
    pub(crate) fn given(&self) -> Seq {
        self.given
    }

    /// Keeps the file ahead of the events until it is dropped.
    pub(crate) async fn keep(mut self, mut newest: watch::Receiver<Seq>) {
        let mut is_failing = false;
        // What the server began with is a floor, and no event's number.
        while newest.changed().await.is_ok() {
            let given = *newest.borrow_and_update();
            if given <= self.reserved - AHEAD / 2 {
                continue;
            }
            let next = Self { reserved: given.saturating_add(AHEAD).min(SEQ_MAX), given, ..self.clone() };
            let write = next.clone();
            let written = tokio::task::spawn_blocking(move || write_private(&write.path, &write.text())).await;
            match written.map_err(std::io::Error::other).flatten() {
                Ok(()) => (self, is_failing) = (next, false),
                Err(reason) if !is_failing => {
                    is_failing = true;
                    tracing::warn!(file = %self.path.display(), %reason, "can't write the file event-sequence");
                }
                Err(_) => {}
            }
        }
    }

    fn text(&self) -> String {
        format!("reserved {}\ngiven {}\n", self.reserved, self.given)
    }
}

/// The least number that an event may have at a moment, in microseconds since the Unix epoch.
pub(crate) fn clock_floor(now_micros: u64) -> Seq {
    Seq::try_from((now_micros / 1000).saturating_sub(EPOCH_MILLIS)).unwrap_or(0).min(SEQ_MAX / 2)
}

fn parse(text: &str) -> Option<(Seq, Seq)> {
    let mut lines = text.lines();
    let mut number = |name| lines.next()?.strip_prefix(name)?.trim().parse().ok();
    let (reserved, given) = (number("reserved ")?, number("given ")?);
    let range = 0..=SEQ_MAX;
    (range.contains(&reserved) && range.contains(&given)).then_some((reserved, given))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_stays_ahead_and_is_seldom_written() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDirectory::at(folder.path());
        let mark = SequenceMark::read(&data);
        assert_eq!((mark.floor(0), mark.given()), (0, 0));
        let (sender, newest) = watch::channel(40);
        let keeping = tokio::spawn(mark.keep(newest));
        tokio::task::yield_now().await;
        assert!(!data.event_sequence().exists(), "nothing was given out");
        sender.send_replace(41);
        let mark = loop {
            let mark = SequenceMark::read(&data);
            if mark.given() > 0 {
                break mark;
            }
            tokio::task::yield_now().await;
        };
        assert_eq!((mark.floor(0), mark.given()), (41 + AHEAD, 41));
        assert!(mark.is_behind(40) && !mark.is_behind(41));
        sender.send_replace(41 + AHEAD / 2);
        drop(sender);
        keeping.await.unwrap();
        assert_eq!(SequenceMark::read(&data), mark, "still far enough ahead");
    }

    #[test]
    fn numbers_begin_at_the_milliseconds_since_2026() {
        assert_eq!(clock_floor(0), 0);
        assert_eq!(clock_floor((EPOCH_MILLIS + 17) * 1000 + 999), 17);
        assert_eq!(clock_floor(u64::MAX), SEQ_MAX / 2, "a clock that is far off leaves numbers to give");
        assert_eq!(parse("reserved 12\ngiven 3\n"), Some((12, 3)));
        for text in ["", "reserved 12\n", "reserved -1\ngiven 3\n", "reserved 12\ngiven 9007199254740992\n", "12\n3\n"]
        {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
