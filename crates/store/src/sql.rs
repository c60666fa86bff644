//! Portable SQL: a statement with `$1` parameters, and the rows it gives.

use std::{fmt, ops::Deref, sync::Arc};

use bytes::Bytes;

use crate::ReadError;

/// One value in a parameter list or a row. The portable subset of both engines' types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SqlValue {
    /// SQL NULL.
    Null,
    /// A signed 64-bit integer; times are microseconds since the Unix epoch, booleans 0 or 1.
    Integer(i64),
    /// UTF-8 text.
    Text(String),
    /// Bytes.
    Blob(Bytes),
}

impl SqlValue {
    /// How many bytes of text or of a blob it has.
    pub fn content_bytes(&self) -> usize {
        match self {
            Self::Null | Self::Integer(_) => 0,
            Self::Text(text) => text.len(),
            Self::Blob(blob) => blob.len(),
        }
    }
}

macro_rules! value_from {
    ($($from:ty => |$v:ident| $to:expr),* $(,)?) => {$(
        impl From<$from> for SqlValue { fn from($v: $from) -> Self { $to } }
    )*};
}

value_from! {
    i64 => |v| Self::Integer(v),
    bool => |v| Self::Integer(i64::from(v)),
    String => |v| Self::Text(v),
    &str => |v| Self::Text(v.to_owned()),
    Bytes => |v| Self::Blob(v),
    Vec<u8> => |v| Self::Blob(Bytes::from(v)),
    &[u8] => |v| Self::Blob(Bytes::copy_from_slice(v)),
}

impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A portable SQL statement (or query) and its parameters, `$1` being the first.
///
/// The text is static: SQL is written in this crate, never assembled from input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The SQL text.
    pub sql: &'static str,
    /// The parameters, in order.
    pub params: Vec<SqlValue>,
    /// How many bytes of texts and blobs make a query's answer long enough; the row that reaches them is its last.
    pub bytes_max: Option<usize>,
}

impl Statement {
    /// Pairs a static SQL text with its parameters.
    pub fn new(sql: &'static str, params: impl Into<Vec<SqlValue>>) -> Self {
        Self { sql, params: params.into(), bytes_max: None }
    }

    /// Bounds a query's answer: behind the row with which it has `bytes_max` bytes of texts and blobs, it ends.
    ///
    /// So an answer that is not empty may have ended early, and whoever wants all asks on behind its last row.
    #[must_use]
    pub fn up_to_bytes(self, bytes_max: usize) -> Self {
        Self { bytes_max: Some(bytes_max), ..self }
    }
}

/// Builds a [`Statement`]: `sql!("SELECT … WHERE did = $1", did.as_str())`.
#[macro_export]
macro_rules! sql {
    ($text:expr $(, $param:expr)* $(,)?) => {
        $crate::Statement::new($text, vec![$($crate::SqlValue::from($param)),*])
    };
}

/// One row of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row(pub Vec<SqlValue>);

/// The rows of a result, in order, and where damage that is found in them is told.
#[derive(Clone, Default)]
pub struct Rows {
    rows: Vec<Row>,
    source: Option<Box<Source>>,
}

#[derive(Clone)]
struct Source {
    query: Statement,
    log: Arc<dyn DamageLog>,
}

/// Where an engine is told that a row it read is not what the schema says.
pub trait DamageLog: Send + Sync {
    /// Notes a row that a query gave, and what is wrong with it.
    fn row_unreadable(&self, query: &Statement, row: &Row, error: &ReadError);
}

impl Rows {
    /// Names what gave the rows, and who is told of damage in them.
    #[must_use]
    pub fn of(self, query: Statement, log: Arc<dyn DamageLog>) -> Self {
        Self { rows: self.rows, source: Some(Box::new(Source { query, log })) }
    }

    /// Tells the engine, if it wants to know, that a row can't be read.
    pub(crate) fn report(&self, row: &Row, error: &ReadError) {
        if let Some(source) = &self.source {
            source.log.row_unreadable(&source.query, row, error);
        }
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.fmt(f)
    }
}

impl PartialEq for Rows {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl From<Vec<Row>> for Rows {
    fn from(rows: Vec<Row>) -> Self {
        Self { rows, source: None }
    }
}

impl Deref for Rows {
    type Target = [Row];

    fn deref(&self) -> &[Row] {
        &self.rows
    }
}

impl IntoIterator for Rows {
    type Item = Row;
    type IntoIter = std::vec::IntoIter<Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.into_iter()
    }
}

impl<'a> IntoIterator for &'a Rows {
    type Item = &'a Row;
    type IntoIter = std::slice::Iter<'a, Row>;

    fn into_iter(self) -> Self::IntoIter {
        self.rows.iter()
    }
}

impl Row {
    /// Reads column `index` (from 0) as `T`.
    ///
    /// # Errors
    /// [`ReadError::Column`](crate::ReadError::Column) when the column is missing or of another type: the schema and the
    /// code disagree.
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T, crate::ReadError> {
        self.0.get(index).and_then(T::from_value).ok_or(crate::ReadError::Column { index })
    }
}

/// A type a column can be read as.
pub trait FromValue: Sized {
    /// Converts, or gives `None` when the value has another type.
    fn from_value(value: &SqlValue) -> Option<Self>;
}

macro_rules! from_value {
    ($($to:ty : $pattern:pat => $expr:expr),* $(,)?) => {$(
        impl FromValue for $to {
            fn from_value(value: &SqlValue) -> Option<Self> {
                if let $pattern = value { Some($expr) } else { None }
            }
        }
    )*};
}

from_value! {
    i64: SqlValue::Integer(v) => *v,
    bool: SqlValue::Integer(v) => *v != 0,
    String: SqlValue::Text(v) => v.clone(),
    Bytes: SqlValue::Blob(v) => v.clone(),
    Vec<u8>: SqlValue::Blob(v) => v.to_vec(),
}

impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: &SqlValue) -> Option<Self> {
        if *value == SqlValue::Null { Some(None) } else { T::from_value(value).map(Some) }
    }
}
