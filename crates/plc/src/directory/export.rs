//! `GET /export`: all operations of all DIDs, page by page, one JSON object a line.
//!
//! With an integer `after`, in the order of their numbers, each with its `seq`; with a time or without `after`, the
//! older form: in the order of their times, each with `nullified`. No newline ends the last line.

use allod_atproto::json::{self, Limits};
use allod_store::tables::plc::{self, PlcRow};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, Uri, header::CONTENT_TYPE};
use serde::Serialize;
use serde_json::Value as Json;

use super::{
    Directory, ReadError, from_store,
    http::{Failure, Service},
    to_store,
};
use crate::{
    limits::{EXPORT_COUNT_MAX, EXPORT_TIES_MAX},
    time::{format_millis, parse_millis},
};

/// The line of an operation with its number; also the message of a stream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SequencedLine<'a> {
    r#type: &'static str,
    operation: Json,
    did: &'a str,
    cid: String,
    created_at: String,
    seq: i64,
}

/// The line of the older form.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TimedLine<'a> {
    did: &'a str,
    operation: Json,
    cid: String,
    nullified: bool,
    created_at: String,
}

enum After {
    Seq(i64),
    Time(i64),
}

pub(super) async fn export(State(service): State<Service>, uri: Uri) -> Result<Response, Failure> {
    let count = match parameter(&uri, "count") {
        None => EXPORT_COUNT_MAX,
        Some(text) => text.parse().ok().filter(|count| *count >= 1).ok_or_else(|| invalid("count"))?,
    };
    let count = EXPORT_COUNT_MAX.min(count);
    let lines = match after(&uri)? {
        After::Seq(seq) => lines(&plc::after_seq(&*service.directory.shared.db, seq, count).await?, sequenced_line)?,
        After::Time(time) => lines(&timed_page(&service.directory, time, count).await?, timed_line)?,
    };
    Ok(([(CONTENT_TYPE, "application/jsonlines")], lines).into_response())
}

/// Reads a parameter of the query; an empty one is none.
pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let pairs = url::form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    let mut values = pairs.filter(|(key, _)| key == name).map(|(_, value)| value.into_owned());
    values.next().filter(|value| !value.is_empty())
}

pub(super) fn invalid(name: &str) -> Failure {
    Failure::new(StatusCode::BAD_REQUEST, format!("Invalid {name} parameter"))
}

pub(super) fn sequenced_line(row: &PlcRow) -> Result<String, ReadError> {
    line(&SequencedLine {
        r#type: "sequenced_op",
        operation: operation(row)?,
        did: row.did.as_str(),
        cid: row.cid.to_string(),
        created_at: format_millis(from_store(row.created_at)),
        seq: row.seq,
    })
}

fn timed_line(row: &PlcRow) -> Result<String, ReadError> {
    line(&TimedLine {
        did: row.did.as_str(),
        operation: operation(row)?,
        cid: row.cid.to_string(),
        nullified: row.nullified,
        created_at: format_millis(from_store(row.created_at)),
    })
}

fn after(uri: &Uri) -> Result<After, Failure> {
    let Some(text) = parameter(uri, "after") else { return Ok(After::Time(-1)) };
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map(After::Seq).map_err(|_| invalid("after"));
    }
    // To the end of the millisecond that the time names: times are told to the millisecond.
    parse_millis(&text).map(|millis| After::Time(to_store(millis))).ok_or_else(|| invalid("after"))
}

/// Reads a page by time. A time is all that the next page starts from, so operations of the same millisecond as the
/// last one come with it, even above `count`.
async fn timed_page(directory: &Directory, time: i64, count: i64) -> Result<Vec<PlcRow>, ReadError> {
    let db = &*directory.shared.db;
    let mut page = plc::after_time(db, time, count).await?;
    if let Some((time, seq)) = page.last().map(|row| (row.created_at, row.seq)) {
        page.extend(plc::at_time(db, time, seq, EXPORT_TIES_MAX).await?);
    }
    Ok(page)
}

fn lines(rows: &[PlcRow], line: fn(&PlcRow) -> Result<String, ReadError>) -> Result<String, ReadError> {
    Ok(rows.iter().map(line).collect::<Result<Vec<_>, _>>()?.join("\n"))
}

/// Reads the stored operation; the keys keep their order.
fn operation(row: &PlcRow) -> Result<Json, ReadError> {
    json::parse(row.operation.as_bytes(), &Limits::OWN)
        .map_err(|_| ReadError::Corrupt { what: "plc_operations.operation" })
}

fn line(value: &impl Serialize) -> Result<String, ReadError> {
    serde_json::to_string(value).map_err(|_| ReadError::Corrupt { what: "plc_operations" })
}
