//! What the owner of an account changes of it: whether it is active, its e-mail address and password, and its end.

pub mod activation;
pub mod deletion;
pub mod email;
pub mod password;
