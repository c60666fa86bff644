//! Who administers and moderates the server, and what they did.

pub mod accounts;
pub mod audit;
pub mod credentials;
pub mod did_web;
pub mod handles;
pub mod identities;
pub mod tokens;

use std::fmt;

use allod_atproto::Did;

pub use allod_store::tables::admin_tokens::AdminScope;

/// Who administers or moderates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// Whoever has the administration password.
    Password,
    /// Whoever has the token of this name.
    Token(String),
    /// The moderation service.
    ModerationService(Did),
    /// Whoever can open the data directory.
    CommandLine,
    /// Somebody who showed a wrong credential.
    Unknown,
    /// The server itself: what its jobs found.
    Server,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password => f.write_str("password"),
            Self::Token(name) => write!(f, "token:{name}"),
            Self::ModerationService(did) => f.write_str(did.as_str()),
            Self::CommandLine => f.write_str("command-line"),
            Self::Unknown => f.write_str("unknown"),
            Self::Server => f.write_str("server"),
        }
    }
}

/// Who does something, and by which method or command.
#[derive(Debug, Clone)]
pub struct By {
    /// Who.
    pub actor: Actor,
    /// By which method or command.
    pub method: &'static str,
}
