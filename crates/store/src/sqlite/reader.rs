//! The threads that read, each with a connection of its own, all from one queue.

use std::{panic::AssertUnwindSafe, sync::Arc};

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{DamageLog, Event, EventKind, ReadError, Rows, Seq, Statement};

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
    Query {
        query: Statement,
        reply: oneshot::Sender<Result<Rows, ReadError>>,
    },
    Events {
        after: Seq,
        limit: usize,
        reply: oneshot::Sender<Result<Vec<Event>, ReadError>>,
    },
    #[cfg(test)]
    Panic {
        reply: oneshot::Sender<Result<Rows, ReadError>>,
    },
}

/// Works until the queue is closed and empty. A panic costs one read: a reader changes nothing, and unwinding finishes
/// its statement.
pub(super) fn run(connection: &Connection, queue: &Queue<ReadJob>, health: &Arc<Health>) {
    let _abandon = AbandonOnDrop(queue);
    while let Some(job) = queue.pop() {
        if std::panic::catch_unwind(AssertUnwindSafe(|| read(connection, job, health))).is_err() {
            tracing::error!("a database read panicked");
        }
    }
}

fn read(connection: &Connection, job: ReadJob, health: &Arc<Health>) {
    match job {
        ReadJob::Query { query, reply } if !reply.is_closed() => {
            let rows = statement::query(connection, &query).map_err(|error| {
                let failed = failure::of_read(&error);
                if matches!(failed, ReadError::Damaged { .. }) {
                    health.query_failed(&query, &error);
                }
                failed
            });
            drop(reply.send(rows.map(|rows| rows.of(query, Arc::clone(health) as Arc<dyn DamageLog>))));
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
                health.event_failed(&format!("event {} of the log has a wrong checksum", event.seq));
            }
            drop(reply.send(events));
        }
        #[cfg(test)]
        ReadJob::Panic { reply } => {
            let _reply = reply;
            panic!("a test's panic in a reader");
        }
        // Ignore: the receiver was dropped.
        ReadJob::Query { .. } | ReadJob::Events { .. } => {}
    }
}
