//! The tokio runtime and the signals that end it.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

/// How many threads may block at once; they start when needed. They are for files: blobs that come and go, imports. The
/// store has threads of its own, and names are resolved without any.
const BLOCKING_THREADS_MAX: usize = 32;

/// The machine's number of cores, at least 1.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The runtime of a server.
pub(crate) fn for_server() -> io::Result<Runtime> {
    Builder::new_multi_thread().worker_threads(cores()).max_blocking_threads(BLOCKING_THREADS_MAX).enable_all().build()
}

/// The runtime of a short command.
pub(crate) fn for_command() -> io::Result<Runtime> {
    Builder::new_current_thread().max_blocking_threads(BLOCKING_THREADS_MAX).enable_all().build()
}

/// Cancels the token at the first SIGINT or SIGTERM; ends the process at the second.
pub(crate) fn stop_on_signal() -> io::Result<CancellationToken> {
    let stop = CancellationToken::new();
    let mut signals = Signals::new()?;
    let token = stop.clone();
    tokio::spawn(async move {
        signals.next().await;
        tracing::info!("stopping; a second signal ends the process at once");
        token.cancel();
        signals.next().await;
        std::process::exit(1);
    });
    Ok(stop)
}

struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
