//! Running one portable statement: parameters by their number, rows as portable values.

use bytes::{Bytes, BytesMut};
use rusqlite::{CachedStatement, Connection, types::ValueRef};

use crate::{Row, Rows, SqlValue, Statement};

/// How many bytes of a result are kept together.
const ROOM_BYTES: usize = 32 * 1024;

/// Runs a statement that gives no rows; tells how many it touched.
pub(super) fn execute(connection: &Connection, statement: &Statement) -> rusqlite::Result<u64> {
    let mut prepared = prepare(connection, statement)?;
    prepared.raw_execute().map(|touched| touched as u64)
}

/// Tells whether a query gives a row.
pub(super) fn finds(connection: &Connection, query: &Statement) -> rusqlite::Result<bool> {
    let mut prepared = prepare_query(connection, query)?;
    let found = prepared.raw_query().next()?.is_some();
    Ok(found)
}

/// Reads all rows of a query.
pub(super) fn query(connection: &Connection, query: &Statement) -> rusqlite::Result<Rows> {
    let mut prepared = prepare_query(connection, query)?;
    let columns = prepared.column_count();
    let mut rows = prepared.raw_query();
    let mut all = Vec::new();
    let mut room = Room::default();
    let bytes_max = query.bytes_max.unwrap_or(usize::MAX);
    let mut bytes = 0;
    while bytes < bytes_max
        && let Some(row) = rows.next()?
    {
        let mut values = Vec::with_capacity(columns);
        for index in 0..columns {
            let value = portable(index, row.get_ref(index)?, &mut room)?;
            bytes += value.content_bytes();
            values.push(value);
        }
        all.push(Row(values));
        room.is_shared = true;
    }
    Ok(all.into())
}

fn prepare_query<'c>(connection: &'c Connection, query: &Statement) -> rusqlite::Result<CachedStatement<'c>> {
    let prepared = prepare(connection, query)?;
    if prepared.readonly() && prepared.column_count() > 0 { Ok(prepared) } else { Err(rusqlite::Error::InvalidQuery) }
}

/// Prepares and binds. `SQLite` numbers `$2, $1` by their place in the text, so each is bound by its name.
fn prepare<'c>(connection: &'c Connection, statement: &Statement) -> rusqlite::Result<CachedStatement<'c>> {
    let mut prepared = connection.prepare_cached(statement.sql)?;
    let count = prepared.parameter_count();
    if count != statement.params.len() {
        return Err(rusqlite::Error::InvalidParameterCount(statement.params.len(), count));
    }
    for index in 1..=count {
        let value = prepared.parameter_name(index).and_then(parameter_number).and_then(|n| statement.params.get(n - 1));
        match value {
            Some(SqlValue::Null) => prepared.raw_bind_parameter(index, rusqlite::types::Null)?,
            Some(SqlValue::Integer(v)) => prepared.raw_bind_parameter(index, *v)?,
            Some(SqlValue::Text(v)) => prepared.raw_bind_parameter(index, v.as_str())?,
            Some(SqlValue::Blob(v)) => prepared.raw_bind_parameter(index, v.as_ref())?,
            None => {
                let name = prepared.parameter_name(index).unwrap_or("?").to_owned();
                return Err(rusqlite::Error::InvalidParameterName(name));
            }
        }
    }
    Ok(prepared)
}

/// Reads the number out of `$n`; from 1.
fn parameter_number(name: &str) -> Option<usize> {
    name.strip_prefix('$')?.parse().ok().filter(|number| *number > 0)
}

/// Where the bytes of a result are kept: those of the first row alone, those of all others together, because a page of
/// records is used and dropped together.
#[derive(Default)]
struct Room {
    bytes: BytesMut,
    is_shared: bool,
}

impl Room {
    fn keep(&mut self, bytes: &[u8]) -> Bytes {
        if !self.is_shared || bytes.len() > ROOM_BYTES {
            return Bytes::copy_from_slice(bytes);
        }
        if self.bytes.capacity() < bytes.len() {
            self.bytes = BytesMut::with_capacity(ROOM_BYTES);
        }
        self.bytes.extend_from_slice(bytes);
        self.bytes.split().freeze()
    }
}

fn portable(index: usize, value: ValueRef<'_>, room: &mut Room) -> rusqlite::Result<SqlValue> {
    Ok(match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(v) => SqlValue::Integer(v),
        ValueRef::Text(v) => {
            SqlValue::Text(std::str::from_utf8(v).map_err(|error| rusqlite::Error::Utf8Error(index, error))?.to_owned())
        }
        ValueRef::Blob(v) => SqlValue::Blob(room.keep(v)),
        ValueRef::Real(_) => {
            return Err(rusqlite::Error::InvalidColumnType(index, String::new(), rusqlite::types::Type::Real));
        }
    })
}
