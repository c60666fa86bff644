//! What a blob's bytes are: found out by looking at the first of them, else what the client says.

use infer::MatcherType;

/// Names that the reference's detector has for what ours calls something else; lexicons and apps know those.
const OTHER_NAMES: [(&str, &str); 2] = [("audio/m4a", "audio/x-m4a"), ("audio/x-wav", "audio/vnd.wave")];

/// Tells the media type of bytes that begin so; `said` is what the client says of them, without parameters.
///
/// Text has no sure marks: a page, a drawing or a script stays what the client says.
pub fn media_type(head: &[u8], said: &str) -> String {
    let seen = infer::get(head).filter(|seen| seen.matcher_type() != MatcherType::Text);
    let Some(seen) = seen.map(|seen| seen.mime_type()) else { return said.to_ascii_lowercase() };
    let other = OTHER_NAMES.iter().find(|(ours, _)| *ours == seen);
    other.map_or(seen, |(_, other)| *other).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binary_kinds_are_seen_and_others_believed() {
        let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
        let wave = b"RIFF\x24\0\0\0WAVEfmt ";
        let m4a = b"\0\0\0\x20ftypM4A \0\0\0\0";
        for (head, said, expected) in [
            (&png[..], "image/jpeg", "image/png"),
            (&png[..], "*/*", "image/png"),
            (wave, "audio/wav", "audio/vnd.wave"),
            (m4a, "audio/mp4", "audio/x-m4a"),
            (b"plain", "Text/Plain", "text/plain"),
            (b"", "application/octet-stream", "application/octet-stream"),
            (b"<!DOCTYPE html><html></html>", "text/plain", "text/plain"),
            (b"<?xml version=\"1.0\"?><svg/>", "image/svg+xml", "image/svg+xml"),
            (b"#!/bin/sh\n", "text/x-shellscript", "text/x-shellscript"),
        ] {
            assert_eq!(media_type(head, said), expected);
        }
    }
}
