//! The threads that read, each with a connection of its own, all from one queue.

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::{Event, ReadError, Rows, Seq, Statement};

use super::{
    Health,
    event_tables::{self, LogError},
    failure,
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
pub(super) fn run(connection: &Connection, queue: &Queue<ReadJob>, health: &Health) {
    let _abandon = AbandonOnDrop(queue);
    while let Some(job) = queue.pop() {
        match job {
            ReadJob::Query { query, reply } if !reply.is_closed() => {
                let rows = statement::query(connection, &query).map_err(|error| told(&error, health));
                drop(reply.send(rows));
            }
            ReadJob::Events { after, limit, reply } if !reply.is_closed() => {
                let events = event_tables::read(connection, after, limit).map_err(|error| match error {
                    LogError::Engine(error) => told(&error, health),
                    LogError::Invalid(reason) => {
                        health.break_with(&reason);
                        ReadError::Corrupt { what: "event" }
                    }
                });
                drop(reply.send(events));
            }
            // Who has gone away needs no answer.
            ReadJob::Query { .. } | ReadJob::Events { .. } => {}
        }
    }
}

fn told(error: &rusqlite::Error, health: &Health) -> ReadError {
    let (error, broken) = failure::of_read(error);
    if broken {
        health.break_with(&format!("read: {error}"));
    }
    error
}
