//! Templates of pages and mail, which are in `crates/server/templates`, and how they escape text within HTML.

use std::fmt::{Result, Write};

use askama::Template;

/// Fills a template.
pub fn render(template: &impl Template) -> String {
    let mut text = String::new();
    // Writing to a String can't fail.
    let _ = template.render_into(&mut text);
    text
}

/// Escapes what a template shows; `askama.toml` names it for HTML.
#[derive(Debug, Clone, Copy)]
pub struct Html;

impl askama::filters::Escaper for Html {
    fn write_escaped_str<W: Write>(&self, mut out: W, text: &str) -> Result {
        text.chars().try_for_each(|c| self.write_escaped_char(&mut out, c))
    }

    fn write_escaped_char<W: Write>(&self, mut out: W, c: char) -> Result {
        match c {
            '&' => out.write_str("&amp;"),
            '<' => out.write_str("&lt;"),
            '>' => out.write_str("&gt;"),
            '"' => out.write_str("&quot;"),
            '\'' => out.write_str("&#39;"),
            _ => out.write_char(c),
        }
    }
}
