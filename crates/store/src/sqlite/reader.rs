//! The threads that read, each with a connection of its own, all from one queue.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{Event, EventKind, ReadError, Rows, Seq, Statement};

use super::{
    event_tables::{self, LogError},
    failure,
    health::Health,
    queue::{AbandonOnDrop, Queue},
    statement,
};

/// How many reads may wait for a reader; more are refused with [`ReadError::Unavailable`].
pub(super) const READ_QUEUE_LEN_MAX: usize = 8192;

/// A read and whom to answer.
#[derive(Debug)]
pub(super) enum ReadJob {
    Query { query: Statement, reply: oneshot::Sender<Result<Rows, ReadError>> },
    Events { after: Seq, limit: usize, reply: oneshot::Sender<Result<Vec<Event>, ReadError>> },
}

/// Works until the queue is closed and empty.
pub(super) fn run(connection: &Connection, queue: &Queue<ReadJob>, health: &Arc<Health>) {
    let _abandon = AbandonOnDrop(queue);
    while let Some(job) = queue.pop() {
        match job {
            ReadJob::Query { query, reply } if !reply.is_closed() => {
                let rows = statement::query(connection, &query).map_err(|error| {
                    let failed = failure::of_read(&error);
                    if matches!(failed, ReadError::Damaged { .. }) {
                        health.query_failed(&query, &error);
                    }
                    failed
                });
                drop(reply.send(rows));
            }
            ReadJob::Events { after, limit, reply } if !reply.is_closed() => {
                let events = event_tables::read(connection, after, limit).map_err(|error| {
                    let failed = match &error {
                        LogError::Engine(error) => failure::of_read(error),
                        LogError::Invalid(reason) => ReadError::Damaged { reason: reason.clone() },
                    };
                    if matches!(failed, ReadError::Damaged { .. }) {
                        health.event_failed(&format!("the event log: {error}"));
                    }
                    failed
                });
                for event in events.iter().flatten().filter(|event| event.kind == EventKind::Damaged) {
                    health.event_failed(&format!("event {} of the log is not what was appended", event.seq));
                }
                drop(reply.send(events));
            }
            // Ignore: the receiver was dropped.
            ReadJob::Query { .. } | ReadJob::Events { .. } => {}
        }
    }
}
