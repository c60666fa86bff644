//! What every generated method says about itself, and the types of those that lack parameters, bodies or errors.

use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::generated::methods::METHODS;

/// How a method is called.
///
/// Spec: <https://atproto.com/specs/xrpc>
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An HTTP GET that changes nothing.
    Query,
    /// An HTTP POST.
    Procedure,
    /// A WebSocket stream.
    Subscription,
}

/// One method: its name, and the types of what it takes and gives.
pub trait Method: 'static {
    /// The method's NSID.
    const NSID: &'static str;
    /// How it is called.
    const KIND: Kind;
    /// The media type of the request's body; `*/*` for any, `None` without a body.
    const INPUT_ENCODING: Option<&'static str>;
    /// The media type of the answer's body; `*/*` for any, `None` without a body.
    const OUTPUT_ENCODING: Option<&'static str>;
    /// The query parameters, defaults filled; [`NoParams`] without any.
    type Params: Serialize + DeserializeOwned + fmt::Debug + Clone + Send + Sync + 'static;
    /// The request's body; [`NoBody`] without one, [`RawBody`] for bytes.
    type Input: Serialize + DeserializeOwned + fmt::Debug + Clone + Send + Sync + 'static;
    /// The answer's body, or a stream's message; [`NoBody`] without one, [`RawBody`] for bytes.
    type Output: Serialize + DeserializeOwned + fmt::Debug + Clone + Send + Sync + 'static;
    /// The errors the lexicon declares; [`NoErrors`] without any.
    type Error: DeclaredError;
}

/// An error name that a method's lexicon declares.
pub trait DeclaredError: fmt::Debug + Copy + Eq + Send + Sync + 'static {
    /// Every name, in the lexicon's order.
    const NAMES: &'static [&'static str];

    /// Gives the name as the lexicon writes it.
    fn name(&self) -> &'static str;
}

/// The constants of a [`Method`], as a value.
#[derive(Debug, Clone, Copy)]
pub struct MethodInfo {
    /// The method's NSID.
    pub nsid: &'static str,
    /// How it is called.
    pub kind: Kind,
    /// The media type of the request's body.
    pub input_encoding: Option<&'static str>,
    /// The media type of the answer's body.
    pub output_encoding: Option<&'static str>,
    /// The error names the lexicon declares.
    pub errors: &'static [&'static str],
}

impl MethodInfo {
    /// Collects the constants of a method.
    pub const fn of<M: Method>() -> Self {
        Self {
            nsid: M::NSID,
            kind: M::KIND,
            input_encoding: M::INPUT_ENCODING,
            output_encoding: M::OUTPUT_ENCODING,
            errors: M::Error::NAMES,
        }
    }

    /// Finds a method that has wire types by its NSID.
    pub fn find(nsid: &str) -> Option<&'static Self> {
        let methods: &'static [Self] = Self::all();
        methods.binary_search_by(|method| method.nsid.cmp(nsid)).ok().and_then(|index| methods.get(index))
    }

    /// Lists every method that has wire types, sorted by NSID.
    pub const fn all() -> &'static [Self] {
        const ALL: &[MethodInfo] = &METHODS;
        ALL
    }
}

/// No query parameters. Unknown ones are ignored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoParams {}

/// No body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoBody {}

/// A body of bytes, which is handled as a stream and never through this type.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RawBody {}

/// No declared errors: a value can't exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoErrors {}

impl DeclaredError for NoErrors {
    const NAMES: &'static [&'static str] = &[];

    fn name(&self) -> &'static str {
        match *self {}
    }
}

/// Defines a method's `Error` enum from exactly the names its lexicon declares.
macro_rules! declared_errors {
    ($($(#[$meta:meta])* $name:ident,)+) => {
        /// The errors the method's lexicon declares.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Error {
            $($(#[$meta])* $name,)+
        }

        impl Error {
            /// Gives the name as the lexicon writes it.
            pub const fn name(&self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)+
                }
            }
        }

        impl crate::method::DeclaredError for Error {
            const NAMES: &'static [&'static str] = &[$(stringify!($name)),+];

            fn name(&self) -> &'static str {
                Self::name(self)
            }
        }
    };
}

pub(crate) use declared_errors;
