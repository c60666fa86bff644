//! Portable SQL: a statement with `$1` parameters, and the rows it gives.

use bytes::Bytes;

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
    pub sql: std::borrow::Cow<'static, str>,
    /// The parameters, in order.
    pub params: Vec<SqlValue>,
    /// How many bytes of texts and blobs make a query's answer long enough; the row that reaches them is its last.
    pub bytes_max: Option<usize>,
}

impl Statement {
    /// Pairs a static SQL text with its parameters.
    pub fn new(sql: &'static str, params: impl Into<Vec<SqlValue>>) -> Self {
        Self { sql: std::borrow::Cow::Borrowed(sql), params: params.into(), bytes_max: None }
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

/// The rows of a result, in order.
pub type Rows = Vec<Row>;

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
