//! A bounded queue between the async callers and the engine's threads.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex};

/// Many producers that never wait, some consumers that do.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    filled: Condvar,
    len_max: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    closed: bool,
}

/// Why an item was not taken; the item itself is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum PushError {
    /// As many as the bound are waiting.
    #[error("the queue is full")]
    Full,
    /// The queue takes nothing any more.
    #[error("the queue is closed")]
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(len_max: usize) -> Self {
        let state = State { waiting: VecDeque::new(), closed: false };
        Self { state: Mutex::new(state), filled: Condvar::new(), len_max }
    }

    pub(super) fn push(&self, item: T) -> Result<(), PushError> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(PushError::Closed);
        }
        if state.waiting.len() >= self.len_max {
            return Err(PushError::Full);
        }
        state.waiting.push_back(item);
        drop(state);
        self.filled.notify_one();
        Ok(())
    }

    /// Waits for an item; `None` once the queue is closed and empty.
    pub(super) fn pop(&self) -> Option<T> {
        let mut state = self.state.lock();
        loop {
            if let Some(item) = state.waiting.pop_front() {
                return Some(item);
            }
            if state.closed {
                return None;
            }
            self.filled.wait(&mut state);
        }
    }

    /// Waits for an item, then moves what is there, at most `len_max` items, into `into`;
    /// false once the queue is closed and empty.
    pub(super) fn pop_group(&self, into: &mut Vec<T>, len_max: usize) -> bool {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return false;
            }
            self.filled.wait(&mut state);
        }
        let len = state.waiting.len().min(len_max);
        into.extend(state.waiting.drain(..len));
        true
    }

    /// Takes nothing more; what is waiting is still handed out.
    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.filled.notify_all();
    }

    /// Takes nothing more and drops what is waiting: for a consumer that ends without having emptied it.
    pub(super) fn abandon(&self) {
        let left = {
            let mut state = self.state.lock();
            state.closed = true;
            std::mem::take(&mut state.waiting)
        };
        self.filled.notify_all();
        drop(left);
    }
}

/// Abandons a queue when its last consumer ends, whatever the reason, so that nobody waits for an answer for ever.
pub(super) struct AbandonOnDrop<'a, T>(pub(super) &'a Queue<T>);

impl<T> Drop for AbandonOnDrop<'_, T> {
    fn drop(&mut self) {
        self.0.abandon();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_refuses_and_a_closed_one_is_emptied() {
        let queue = Queue::new(2);
        assert_eq!(queue.push(1), Ok(()));
        assert_eq!(queue.push(2), Ok(()));
        assert_eq!(queue.push(3), Err(PushError::Full));
        assert_eq!(queue.pop(), Some(1));
        queue.close();
        assert_eq!(queue.push(4), Err(PushError::Closed));
        let mut group = Vec::new();
        assert!(queue.pop_group(&mut group, 8));
        assert_eq!(group, [2]);
        assert!(!queue.pop_group(&mut group, 8));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_group_has_a_bound() {
        let queue = Queue::new(8);
        for item in 0..5 {
            queue.push(item).unwrap();
        }
        let mut group = Vec::new();
        assert!(queue.pop_group(&mut group, 3));
        assert_eq!(group, [0, 1, 2]);
    }
}
