//! Running one portable statement: parameters by their number, rows as portable values.

use bytes::Bytes;
use rusqlite::{CachedStatement, Connection, types::ValueRef};

use crate::{Row, Rows, SqlValue, Statement};

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
    let mut all = Rows::new();
    let bytes_max = query.bytes_max.unwrap_or(usize::MAX);
    let mut bytes = 0;
    while bytes < bytes_max
        && let Some(row) = rows.next()?
    {
        let mut values = Vec::with_capacity(columns);
        for index in 0..columns {
            let value = portable(index, row.get_ref(index)?)?;
            bytes += match &value {
                SqlValue::Null | SqlValue::Integer(_) => 0,
                SqlValue::Text(text) => text.len(),
                SqlValue::Blob(blob) => blob.len(),
            };
            values.push(value);
        }
        all.push(Row(values));
    }
    Ok(all)
}

fn prepare_query<'c>(connection: &'c Connection, query: &Statement) -> rusqlite::Result<CachedStatement<'c>> {
    let prepared = prepare(connection, query)?;
    if prepared.readonly() && prepared.column_count() > 0 { Ok(prepared) } else { Err(rusqlite::Error::InvalidQuery) }
}

/// Prepares and binds. `SQLite` numbers `$2, $1` by their place in the text, so each is bound by its name.
fn prepare<'c>(connection: &'c Connection, statement: &Statement) -> rusqlite::Result<CachedStatement<'c>> {
    let mut prepared = connection.prepare_cached(&statement.sql)?;
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

fn portable(index: usize, value: ValueRef<'_>) -> rusqlite::Result<SqlValue> {
    Ok(match value {
        ValueRef::Null => SqlValue::Null,
        ValueRef::Integer(v) => SqlValue::Integer(v),
        ValueRef::Text(v) => {
            SqlValue::Text(std::str::from_utf8(v).map_err(|error| rusqlite::Error::Utf8Error(index, error))?.to_owned())
        }
        ValueRef::Blob(v) => SqlValue::Blob(Bytes::copy_from_slice(v)),
        ValueRef::Real(_) => {
            return Err(rusqlite::Error::InvalidColumnType(index, String::new(), rusqlite::types::Type::Real));
        }
    })
}
