//! Captured mail: in dev mode letters are kept in memory and shown, never sent.

use std::collections::VecDeque;

use parking_lot::Mutex;

use super::Message;

/// How many captured messages are kept; the oldest go first.
pub const CAPTURED_MESSAGES_MAX: usize = 200;

/// Captured mail, newest last.
#[derive(Debug, Default)]
pub struct Mailbox {
    messages: Mutex<VecDeque<Message>>,
}

impl Mailbox {
    /// Takes a message in.
    pub fn deliver(&self, message: Message) {
        let mut messages = self.messages.lock();
        if messages.len() == CAPTURED_MESSAGES_MAX {
            messages.pop_front();
        }
        messages.push_back(message);
    }

    /// Copies what is there, oldest first.
    pub fn messages(&self) -> Vec<Message> {
        self.messages.lock().iter().cloned().collect()
    }
}
