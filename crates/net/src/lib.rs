//! The outbound network: every connection that the server opens, but for mail.
//!
//! URLs from others are requested only through [`outbound`], which connects to global unicast addresses alone; services
//! of the operator's choice through [`operator`]. Names are resolved by [`dns`], identities of others by [`resolver`].
//! Every lookup has a timeout, and [`lookups`] bounds how many run at once. Nothing here knows accounts or the store.

pub mod dns;
pub mod forms;
mod global_address;
pub mod limits;
pub mod lookups;
pub mod operator;
pub mod outbound;
pub mod resolver;
#[cfg(test)]
mod ssrf;
