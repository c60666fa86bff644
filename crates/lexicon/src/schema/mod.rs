//! Run-time schema set.
