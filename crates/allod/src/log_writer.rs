//! Writes log lines from a thread of its own: a log that nobody reads must not stop the server.
//!
//! Lines wait in a bounded buffer for a few milliseconds and go out in one write; those that don't fit are lost and
//! counted.

use std::{
    fs::File,
    io::{self, Write},
    os::fd::AsFd,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use allod_base::printable::{printable, printable_json};
use tracing_subscriber::fmt::MakeWriter;

/// How many bytes of lines may wait to be written.
const WAITING_BYTES_MAX: usize = 1024 * 1024;

/// How long lines wait for others that go out with them, in milliseconds: a write for each line costs a busy server more
/// than the line.
const GATHER_MILLIS: u64 = 10;

/// How many bytes of lines go out without waiting for others.
const GATHER_BYTES_MAX: usize = 64 * 1024;

/// How large a buffer is kept when nothing waits, in bytes.
const IDLE_BYTES_MAX: usize = 16 * 1024;

/// How long the end of the process waits for what is not written yet, in milliseconds.
const FLUSH_MILLIS_MAX: u64 = 2000;

/// What a line is, which decides how characters are escaped that would change the text around them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    /// Text for a file.
    Plain,
    /// Text with the formatter's own colours.
    Coloured,
    /// A JSON object.
    Json,
}

/// Takes lines; cheap to clone.
#[derive(Clone)]
pub(crate) struct LogWriter {
    shared: Arc<Shared>,
    style: Style,
}

struct Shared {
    state: Mutex<State>,
    /// Wakes the thread.
    waits: Condvar,
    /// Signals [`Flush`] that everything is written.
    written: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    lines_lost: u64,
    is_writing: bool,
    is_over: bool,
}

/// Waits for the last lines when it is dropped, for [`FLUSH_MILLIS_MAX`] at the most.
#[must_use = "dropping it ends the log"]
pub(crate) struct Flush(Arc<Shared>);

impl LogWriter {
    /// Starts a thread that writes to standard error.
    pub(crate) fn to_stderr(style: Style) -> io::Result<(Self, Flush)> {
        // A descriptor of its own: while a write is stuck, nobody else waits for standard error's lock.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned()?);
        Self::to(stderr, style)
    }

    fn to(sink: impl Write + Send + 'static, style: Style) -> io::Result<(Self, Flush)> {
        let shared = Arc::new(Shared { state: Mutex::default(), waits: Condvar::new(), written: Condvar::new() });
        let thread = Arc::clone(&shared);
        std::thread::Builder::new().name("log".to_owned()).spawn(move || thread.write_all_to(sink))?;
        Ok((Self { shared: Arc::clone(&shared), style }, Flush(shared)))
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all_to(&self, mut sink: impl Write) {
        let mut batch = Vec::new();
        let mut state = self.lock();
        loop {
            state.is_writing = false;
            if state.waiting.is_empty() {
                self.written.notify_all();
                if state.is_over {
                    return;
                }
                state = self.waits.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            state.is_writing = true;
            let is_gathering = |state: &mut State| !state.is_over && state.waiting.len() < GATHER_BYTES_MAX;
            let gathered = self.waits.wait_timeout_while(state, Duration::from_millis(GATHER_MILLIS), is_gathering);
            state = gathered.unwrap_or_else(PoisonError::into_inner).0;
            std::mem::swap(&mut state.waiting, &mut batch);
            let lines_lost = std::mem::take(&mut state.lines_lost);
            drop(state);
            // Ignore: a log that fails can't record its own failure.
            let _ = sink.write_all(&batch);
            batch.clear();
            batch.shrink_to(IDLE_BYTES_MAX);
            if lines_lost > 0 {
                tracing::warn!(lines_lost, "log lines were dropped: the reader of the log is too slow");
            }
            state = self.lock();
        }
    }

    fn put(&self, line: &[u8], style: Style) {
        let mut state = self.lock();
        let before = state.waiting.len();
        if before + line.len() > WAITING_BYTES_MAX {
            state.lines_lost += 1;
            return;
        }
        escape(line, style, &mut state.waiting);
        let is_enough = before < GATHER_BYTES_MAX && state.waiting.len() >= GATHER_BYTES_MAX;
        let wakes = is_enough || before == 0 && !state.is_writing;
        drop(state);
        if wakes {
            self.waits.notify_one();
        }
    }
}

impl Drop for Flush {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_over = true;
        self.0.waits.notify_one();
        let unwritten = |state: &mut State| state.is_writing || !state.waiting.is_empty();
        let _ = self.0.written.wait_timeout_while(state, Duration::from_millis(FLUSH_MILLIS_MAX), unwritten);
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = Line<'a>;

    fn make_writer(&'a self) -> Line<'a> {
        Line(self)
    }
}

/// Takes one line: the formatter writes each at once.
pub(crate) struct Line<'a>(&'a LogWriter);

impl Write for Line<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.shared.put(line, self.0.style);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Appends a line in which nothing changes the text around it.
fn escape(line: &[u8], style: Style, out: &mut Vec<u8>) {
    let (text, end) = match line.split_last() {
        Some((b'\n', text)) => (text, &b"\n"[..]),
        _ => (line, &b""[..]),
    };
    if text.iter().all(|b| (b' '..=b'~').contains(b)) {
        out.extend_from_slice(line);
        return;
    }
    let text = String::from_utf8_lossy(text);
    match style {
        Style::Plain => out.extend_from_slice(printable(&text).as_bytes()),
        Style::Json => out.extend_from_slice(printable_json(&text).as_bytes()),
        Style::Coloured => {
            let mut rest = &*text;
            while let Some((before, after)) = rest.split_once('\x1b') {
                out.extend_from_slice(printable(before).as_bytes());
                rest = if let Some((colour, after)) = colour(after) {
                    out.extend_from_slice(format!("\x1b[{colour}m").as_bytes());
                    after
                } else {
                    out.extend_from_slice(b"\\u{1b}");
                    after
                };
            }
            out.extend_from_slice(printable(rest).as_bytes());
        }
    }
    out.extend_from_slice(end);
}

/// Reads what follows an escape character as a colour.
fn colour(text: &str) -> Option<(&str, &str)> {
    let (colour, after) = text.strip_prefix('[')?.split_once('m')?;
    colour.bytes().all(|b| b.is_ascii_digit() || b == b';').then_some((colour, after))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// Hands on what is written, and waits before each write until the test lets it.
    struct Gate {
        allow: mpsc::Receiver<()>,
        written: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // A test that is over lets everything through.
            let _ = self.allow.recv();
            let _ = self.written.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_reader_and_the_lost_are_counted() {
        let (allow, allowed) = mpsc::channel();
        let (sender, written) = mpsc::channel();
        let (writer, flush) = LogWriter::to(Gate { allow: allowed, written: sender }, Style::Plain).unwrap();
        let line = [b'x'; 1023].into_iter().chain([b'\n']).collect::<Vec<u8>>();
        let lines = WAITING_BYTES_MAX / line.len() * 3;
        for _ in 0..lines {
            writer.make_writer().write_all(&line).unwrap();
        }
        let lost = writer.shared.lock().lines_lost;
        assert!(lost >= u64::try_from(lines / 3).unwrap(), "{lost} of {lines} lost");
        drop(allow);
        drop(flush);
        let kept: usize = written.try_iter().map(|bytes| bytes.len()).sum();
        assert_eq!(kept, (lines - usize::try_from(lost).unwrap()) * line.len());
    }

    #[test]
    fn lines_that_come_together_go_out_together() {
        let (allow, allowed) = mpsc::channel();
        let (sender, written) = mpsc::channel();
        let (writer, flush) = LogWriter::to(Gate { allow: allowed, written: sender }, Style::Plain).unwrap();
        drop(allow);
        let line = b"0123456789\n";
        for _ in 0..1000 {
            writer.make_writer().write_all(line).unwrap();
        }
        drop(flush);
        let writes: Vec<Vec<u8>> = written.try_iter().collect();
        assert_eq!(writes.concat(), line.repeat(1000));
        assert!(writes.len() < 100, "{} writes", writes.len());
    }

    #[test]
    fn a_line_stays_one_line() {
        let escaped = |text: &str, style| {
            let mut out = Vec::new();
            escape(text.as_bytes(), style, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(escaped("plain text\n", Style::Plain), "plain text\n");
        assert_eq!(escaped("a\nWARN b\x1b[2J\u{202e}c\n", Style::Plain), "a\\u{a}WARN b\\u{1b}[2J\\u{202e}c\n");
        assert_eq!(
            escaped("\x1b[2mx\x1b[0m \x1b[2J\x1b]0;y\x07\n", Style::Coloured),
            "\x1b[2mx\x1b[0m \\u{1b}[2J\\u{1b}]0;y\\u{7}\n"
        );
        assert_eq!(escaped("{\"a\":\"b\u{202e}\u{9b}\"}\n", Style::Json), "{\"a\":\"b\\u202e\\u009b\"}\n");
    }
}
