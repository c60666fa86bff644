//! What people and scripts see: answers on standard output, complaints on standard error.
//!
//! A reader that went away (`allod account list | head -1`) is no failure.

use std::{
    fmt::Display,
    io::{self, IsTerminal},
};

use allod_base::printable::{printable, printable_but, printable_json};
use serde::Serialize;

use crate::surroundings;

/// What lays a text out; every other control character is from a stranger, and escaped.
const LAYOUT: &[char] = &['\n', '\t'];

/// Prints text. What could move a terminal's cursor or turn the text around it about is escaped.
pub(crate) fn text(text: impl Display) {
    surroundings::answer(&printable_but(&text.to_string(), LAYOUT));
}

/// Prints a JSON value, indented, with a line end.
pub(crate) fn json(value: &impl Serialize) {
    let rendered = serde_json::to_string_pretty(value).unwrap_or_default();
    surroundings::answer(&printable_json(&format!("{rendered}\n")));
}

/// Shows how far something is, in place of what was shown before; nothing when nobody looks. An empty text takes it away.
pub(crate) fn progress(text: impl Display) {
    if io::stderr().is_terminal() {
        surroundings::tell(&format!("\r\x1b[K{}", printable(&text.to_string())));
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
    surroundings::tell(&question.to_string());
}

/// Prints a complaint to standard error.
pub(crate) fn complain(message: impl Display) {
    surroundings::tell(&format!("error: {}\n", printable_but(&message.to_string(), LAYOUT)));
}

/// Prints a remark to standard error.
pub(crate) fn remark(message: impl Display) {
    surroundings::tell(&format!("{}\n", printable_but(&message.to_string(), LAYOUT)));
}

/// Renders rows as columns that line up, two spaces between them.
pub(crate) fn table<const N: usize>(header: [&str; N], rows: &[[String; N]]) -> String {
    let rows: Vec<_> = rows.iter().map(|row| row.each_ref().map(|cell| printable(cell))).collect();
    let mut widths = header.map(|cell| cell.chars().count());
    for row in &rows {
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
    for row in &rows {
        line(row.each_ref().map(|cell| &**cell));
    }
    out
}

/// Renders names and values in two columns, without empty values.
pub(crate) fn fields(fields: &[(&str, Option<String>)]) -> String {
    let width = fields.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let line = |(name, value): &(&str, Option<String>)| {
        value.as_ref().map(|value| format!("{name:width$}  {}\n", printable(value)))
    };
    fields.iter().filter_map(line).collect()
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
    fn a_cell_is_no_further_row() {
        let rows = [["a\nadmin.test  did:plc:b\x1b[2J".to_owned(), "x".to_owned()]];
        assert_eq!(table(["N", "X"], &rows).lines().nth(1), Some("a\\u{a}admin.test  did:plc:b\\u{1b}[2J  x"));
        let rendered = fields(&[("name", Some("a\nb\u{202e}".to_owned()))]);
        assert_eq!(rendered, "name  a\\u{a}b\\u{202e}\n");
    }

    #[test]
    fn fields_line_up() {
        let rendered =
            fields(&[("handle", Some("a.test".to_owned())), ("x", None), ("did", Some("did:plc:a".to_owned()))]);
        assert_eq!(rendered, "handle  a.test\ndid     did:plc:a\n");
    }
}
