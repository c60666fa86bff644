//! What a command has from outside: the environment, and where its answers and complaints go. [`main`](crate::main) hands
//! over those of the process; a test hands over its own and runs commands in its process.
//!
//! They belong to the thread that carries the command out. A server's other threads write to the process's streams.

use std::{
    cell::RefCell,
    ffi::OsString,
    io::{self, Write},
};

/// The environment and the streams of one command.
pub(crate) struct Surroundings {
    /// The environment's names and values.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// Takes answers.
    pub(crate) stdout: Box<dyn Write>,
    /// Takes complaints, remarks and questions.
    pub(crate) stderr: Box<dyn Write>,
}

impl Surroundings {
    /// Those of the process.
    pub(crate) fn of_the_process() -> Self {
        Self {
            environment: std::env::vars_os().collect(),
            stdout: Box::new(io::stdout()),
            stderr: Box::new(io::stderr()),
        }
    }
}

thread_local! {
    static CURRENT: RefCell<Option<Surroundings>> = const { RefCell::new(None) };
}

/// Does some work with these surroundings.
pub(crate) fn within<T>(surroundings: Surroundings, work: impl FnOnce() -> T) -> T {
    struct Outside(Option<Surroundings>);

    impl Drop for Outside {
        fn drop(&mut self) {
            CURRENT.set(self.0.take());
        }
    }

    let _outside = Outside(CURRENT.replace(Some(surroundings)));
    work()
}

/// The environment.
pub(crate) fn environment() -> Vec<(OsString, OsString)> {
    CURRENT.with_borrow(|current| current.as_ref().map(|current| current.environment.clone())).unwrap_or_default()
}

/// Writes an answer. A reader that went away is no failure: there is nobody left to tell.
pub(crate) fn answer(text: &str) {
    CURRENT.with_borrow_mut(|current| match current {
        Some(current) => write(&mut current.stdout, text),
        None => write(&mut io::stdout(), text),
    });
}

/// Writes what is no answer.
pub(crate) fn tell(text: &str) {
    CURRENT.with_borrow_mut(|current| match current {
        Some(current) => write(&mut current.stderr, text),
        None => write(&mut io::stderr(), text),
    });
}

fn write(stream: &mut dyn Write, text: &str) {
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.flush();
}
