//! What a parsed lexicon is made of.

use std::sync::OnceLock;

use allod_atproto::{Nsid, RecordKey, Tid};
use serde_json::Value;

use super::format::Format;

/// A named definition.
#[derive(Debug)]
pub(super) enum Definition {
    /// A record type.
    Record(Record),
    /// A query, procedure or subscription.
    Method(Method),
    /// A set of permissions, for authorisation only: no data is ever checked against it.
    PermissionSet,
    /// A schema that others refer to.
    Schema(Schema),
}

/// A record type.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) key: RecordKeyRule,
    pub(super) object: Object,
}

/// Which record keys a record type takes.
///
/// Spec: <https://atproto.com/specs/record-key#record-key-types>
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordKeyRule {
    /// Any valid record key.
    Any,
    /// A TID.
    Tid,
    /// An NSID.
    Nsid,
    /// Exactly this key.
    Literal(String),
}

impl RecordKeyRule {
    /// Tells what is wrong with a key that is not accepted.
    pub fn complaint(&self) -> String {
        match self {
            Self::Any => "Invalid record key".to_owned(),
            Self::Tid => format!("Invalid {}", Format::Tid.title()),
            Self::Nsid => format!("Invalid {}", Format::Nsid.title()),
            Self::Literal(literal) => format!("Expected {literal:?}"),
        }
    }

    /// Says whether a key fits.
    pub fn accepts(&self, key: &RecordKey) -> bool {
        match self {
            Self::Any => true,
            Self::Tid => Tid::parse(key.as_str()).is_ok(),
            Self::Nsid => Nsid::is_valid(key.as_str()),
            Self::Literal(literal) => key.as_str() == literal,
        }
    }
}

/// A query, procedure or subscription. The parts it does not have are `None`.
#[derive(Debug)]
pub(super) struct Method {
    pub(super) parameters: Option<Object>,
    pub(super) input: Option<Schema>,
    pub(super) output: Option<Schema>,
}

/// What a value has to be.
#[derive(Debug)]
pub(super) enum Schema {
    Boolean {
        constant: Option<bool>,
        default: Option<bool>,
    },
    Integer(Integer),
    String(Box<Text>),
    Bytes(Span),
    CidLink,
    Blob {
        accept: Vec<String>,
        size_bytes_max: Option<u64>,
    },
    Array {
        items: Box<Schema>,
        count: Span,
    },
    Object(Object),
    /// A string that is the token's own name.
    Token(String),
    Ref(Target),
    Union {
        variants: Vec<Target>,
        closed: bool,
    },
    Unknown,
}

impl Schema {
    /// Gives the value an absent field takes.
    pub(super) fn default(&self) -> Option<Value> {
        match self {
            Self::Boolean { default, .. } => default.map(Value::Bool),
            Self::Integer(integer) => integer.default.map(Value::from),
            Self::String(text) => text.default.clone().map(Value::String),
            Self::Bytes(_)
            | Self::CidLink
            | Self::Blob { .. }
            | Self::Array { .. }
            | Self::Object(_)
            | Self::Token(_)
            | Self::Ref(_)
            | Self::Union { .. }
            | Self::Unknown => None,
        }
    }
}

/// Rules of an integer.
#[derive(Debug, Default)]
pub(super) struct Integer {
    pub(super) minimum: Option<i64>,
    pub(super) maximum: Option<i64>,
    /// The values of `enum` or the one of `const`; empty when any will do.
    pub(super) allowed: Vec<i64>,
    pub(super) default: Option<i64>,
}

/// Rules of a string. `knownValues` is not among them: it refuses nothing.
#[derive(Debug, Default)]
pub(super) struct Text {
    pub(super) format: Option<Format>,
    /// In UTF-8 bytes.
    pub(super) bytes: Span,
    pub(super) graphemes: Span,
    /// The values of `enum` or the one of `const`; empty when any will do.
    pub(super) allowed: Vec<String>,
    pub(super) default: Option<String>,
}

/// Limits of a length, both inclusive.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Span {
    pub(super) minimum: Option<u64>,
    pub(super) maximum: Option<u64>,
}

/// An object's fields, in the document's order. Also a method's query parameters.
#[derive(Debug, Default)]
pub(super) struct Object {
    pub(super) fields: Vec<Field>,
}

/// One field of an object.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) key: String,
    pub(super) required: bool,
    pub(super) nullable: bool,
    pub(super) schema: Schema,
}

/// Where a reference leads.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) nsid: String,
    pub(super) name: String,
    /// The `$type` of a value of this definition, which leaves out `#main`.
    pub(super) type_name: String,
    /// The definition's place in the set, once it has been looked for; the set looks once.
    pub(super) place: OnceLock<Option<Place>>,
}

/// A definition's place in a set.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    /// Counted among the set's lexicons.
    pub(super) entry: usize,
    /// Counted among the lexicon's definitions.
    pub(super) definition: usize,
}

impl Target {
    /// Reads a reference that stands in the lexicon `from`.
    pub(super) fn parse(from: &str, reference: &str) -> Self {
        let (nsid, name) = reference.split_once('#').unwrap_or((reference, "main"));
        Self::new(if nsid.is_empty() { from } else { nsid }, name)
    }

    /// Leads to a definition of a lexicon.
    pub(super) fn new(nsid: &str, name: &str) -> Self {
        let type_name = if name == "main" { nsid.to_owned() } else { format!("{nsid}#{name}") };
        Self { nsid: nsid.to_owned(), name: name.to_owned(), type_name, place: OnceLock::new() }
    }
}
