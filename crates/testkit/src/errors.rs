//! Catches what a server logs as an error.

use std::{fmt::Write, sync::Arc};

use parking_lot::Mutex;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
};
use tracing_subscriber::{Layer, layer::Context};

/// The errors that one server logged and nobody has read.
#[derive(Debug, Clone, Default)]
pub(crate) struct LoggedErrors(Arc<Mutex<Logged>>);

#[derive(Debug, Default)]
struct Logged {
    lines: Vec<String>,
    /// Lines with one of these texts are not kept.
    ignored: Vec<String>,
}

impl LoggedErrors {
    /// Takes what is there.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().lines)
    }

    /// Keeps no line that has this text.
    pub(crate) fn ignore(&self, text: &str) {
        self.0.lock().ignored.push(text.to_owned());
    }
}

/// Renders an event's fields.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a string does not fail.
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl<S: Subscriber> Layer<S> for LoggedErrors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if *event.metadata().level() == Level::ERROR {
            let mut line = Line(event.metadata().target().to_owned());
            event.record(&mut line);
            let mut logged = self.0.lock();
            if !logged.ignored.iter().any(|text| line.0.contains(text)) {
                logged.lines.push(line.0);
            }
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::ERROR)
    }
}
