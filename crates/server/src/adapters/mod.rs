//! What the domain asks of others behind a trait of its own: mail servers, senders of text messages, captcha services.
//!
//! The domain names none of these; the composition root hands them in.

pub mod phone_codes;
pub mod sendmail;
pub mod site_verify;
pub mod smtp;
pub mod twilio;
