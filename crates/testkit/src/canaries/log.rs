//! A log of everything, as cheap as it can be: one line for each span and event, and no time.

use std::{
    cell::RefCell,
    fmt::{self, Write as _},
    io::Write as _,
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context};

use super::Canaries;

/// Writes every span and event to the process's log.
pub(crate) struct Verbose(pub(crate) &'static Canaries);

thread_local! {
    /// A line that is being put together.
    static LINE: RefCell<String> = const { RefCell::new(String::new()) };
}

impl Verbose {
    fn write(&self, metadata: Option<&Metadata<'_>>, fields: impl FnOnce(&mut Line<'_>)) {
        // What logs while it is being logged finds an empty line, and writes its own.
        let mut line = LINE.try_with(RefCell::take).unwrap_or_default();
        line.clear();
        if let Some(metadata) = metadata {
            // Writing to a string does not fail.
            let _ = write!(line, "{} {} {}", metadata.level(), metadata.target(), metadata.name());
        }
        fields(&mut Line(&mut line));
        line.push('\n');
        self.0.log.lock().write_all(line.as_bytes()).expect("the log can be written");
        // A thread that ends has none any more.
        let _ = LINE.try_with(|kept| kept.replace(line));
    }
}

impl<S: Subscriber> Layer<S> for Verbose {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.write(Some(attributes.metadata()), |line| attributes.record(line));
    }

    fn on_record(&self, _: &Id, values: &Record<'_>, _: Context<'_, S>) {
        self.write(None, |line| values.record(line));
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.write(Some(event.metadata()), |line| event.record(line));
    }
}

/// Renders fields.
struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, " {field}={value}");
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}
