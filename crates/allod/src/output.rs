//! What people and scripts see: answers on standard output, complaints on standard error.
//!
//! A reader that went away (`allod account list | head -1`) is no failure.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use serde::Serialize;

/// Prints text as it is.
pub(crate) fn text(text: impl Display) {
    // A closed pipe is the reader's choice; there is nobody left to tell.
    let _ = write!(io::stdout().lock(), "{text}");
    let _ = io::stdout().lock().flush();
}

/// Prints a JSON value, indented, with a line end.
pub(crate) fn json(value: &impl Serialize) {
    let rendered = serde_json::to_string_pretty(value).unwrap_or_default();
    text(format_args!("{rendered}\n"));
}

/// Shows how far something is, in place of what was shown before; nothing when nobody looks. An empty text takes it away.
pub(crate) fn progress(text: impl Display) {
    let mut stderr = io::stderr().lock();
    if stderr.is_terminal() {
        let _ = write!(stderr, "\r\x1b[K{text}");
        let _ = stderr.flush();
    }
}

/// Says how the next page of a list is had, when there is one.
pub(crate) fn more(cursor: Option<&str>) {
    if let Some(cursor) = cursor {
        remark(format_args!("more: --cursor {cursor}"));
    }
}

/// Prints a question to standard error, without a line end.
pub(crate) fn question(question: impl Display) {
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question}");
    let _ = stderr.flush();
}

/// Prints a complaint to standard error.
pub(crate) fn complain(message: impl Display) {
    let _ = writeln!(io::stderr().lock(), "error: {message}");
}

/// Prints a remark to standard error.
pub(crate) fn remark(message: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}

/// Renders rows as columns that line up, two spaces between them.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let mut widths = header.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut out = String::new();
    let mut line = |cells: [&str; N]| {
        let padded = cells.into_iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        out.push_str(padded.collect::<Vec<_>>().join("  ").trim_end());
        out.push('\n');
    };
    line(header);
    for row in rows {
        line(row.each_ref().map(String::as_str));
    }
    out
}

/// Renders names and values in two columns, without empty values.
pub(crate) fn fields(fields: &[(&str, Option<String>)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    fields.iter().filter_map(|(name, value)| value.as_ref().map(|value| format!("{name:width$}  {value}\n"))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_line_up() {
        let rows = [["alice.test".to_owned(), "did:plc:a".to_owned()], ["b.test".to_owned(), String::new()]];
        assert_eq!(table(["HANDLE", "DID"], &rows), "HANDLE      DID\nalice.test  did:plc:a\nb.test\n");
    }

    #[test]
    fn fields_line_up() {
        let rendered =
            fields(&[("handle", Some("a.test".to_owned())), ("x", None), ("did", Some("did:plc:a".to_owned()))]);
        assert_eq!(rendered, "handle  a.test\ndid     did:plc:a\n");
    }
}
