//! Where log lines go: standard error, as text or JSON.

use std::{
    io::{self, IsTerminal},
    panic::PanicHookInfo,
};

use tracing_subscriber::EnvFilter;

use crate::{
    config::LogFormat,
    log_writer::{Flush, LogWriter, Style},
};

/// Starts logging; what it gives is kept while anything logs. `filter` was checked when the configuration was read; one
/// that is not valid logs at `info`.
pub(crate) fn start(filter: &str, format: LogFormat) -> io::Result<Flush> {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let style = match format {
        LogFormat::Text if io::stderr().is_terminal() => Style::Coloured,
        LogFormat::Text => Style::Plain,
        LogFormat::Json => Style::Json,
    };
    let (writer, flush) = LogWriter::to_stderr(style)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    // A second call would be refused; the first one's choice stays.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(style == Style::Coloured).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(log_panic));
    Ok(flush)
}

/// Logs where a panic is. A text that was put together may hold a client's data, even a password: it stays out.
fn log_panic(panicked: &PanicHookInfo<'_>) {
    let place = panicked.location().map(ToString::to_string);
    let text = panicked.payload().downcast_ref::<&'static str>().copied().unwrap_or("(text left out)");
    let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
    tracing::error!(place, thread, text, "panicked");
}
