//! What a blob's bytes are: what the client says, unless it does not know or the bytes plainly say otherwise.
//!
//! Each format below is known by marks that no other has, and has its kin: the types that bytes of its form may rightly
//! be declared as. So a word-processor document stays one, though its bytes are a ZIP archive, and HTML that is declared
//! as an image becomes HTML. Names are those registered with IANA today, or the ones that browsers use.

use infer::MatcherType;

/// What is known of bytes whose client said nothing.
const UNKNOWN: &str = "application/octet-stream";

/// The types that clients send when they don't know.
const GENERIC: [&str; 8] = [
    UNKNOWN,
    "application/binary",
    "application/unknown",
    "application/x-binary",
    "application/x-unknown",
    "binary/octet-stream",
    "unknown/unknown",
    // What curl says of everything.
    "application/x-www-form-urlencoded",
];

const ARCHIVES: &[&str] = &["application/*", "model/*", "image/openraster"];
const APPLICATIONS: &[&str] = &["application/*"];
const ISO_MEDIA: &[&str] = &[
    "video/mp4",
    "video/x-m4v",
    "video/quicktime",
    "video/3gpp",
    "video/3gpp2",
    "video/iso.segment",
    "audio/mp4",
    "audio/m4a",
    "audio/x-m4a",
    "audio/aac",
    "audio/aacp",
    "application/mp4",
];
const OGG: &[&str] = &["audio/ogg", "video/ogg", "application/ogg", "audio/opus", "audio/vorbis", "audio/speex"];
const MATROSKA: &[&str] = &[
    "video/webm",
    "audio/webm",
    "video/x-matroska",
    "audio/x-matroska",
    "video/matroska",
    "audio/matroska",
    "video/matroska-3d",
];
const HEIF: &[&str] =
    &["image/heic", "image/heif", "image/heic-sequence", "image/heif-sequence", "image/avif", "image/avif-sequence"];
const FONTS: &[&str] = &["font/*", "application/font-*", "application/x-font-*", "application/vnd.ms-*"];

/// Formats: the name that the detector has for them, ours, and their kin. A name of the kin may end with `*`.
///
/// What the detector knows besides has marks that are too short: it counts where the client says nothing.
const FORMATS: &[(&str, &str, &[&str])] = &[
    ("image/png", "image/png", &["image/png", "image/x-png", "image/apng", "image/vnd.mozilla.apng"]),
    ("image/jpeg", "image/jpeg", &["image/jpeg", "image/jpg", "image/pjpeg"]),
    ("image/gif", "image/gif", &["image/gif"]),
    ("image/webp", "image/webp", &["image/webp"]),
    ("image/avif", "image/avif", HEIF),
    ("image/heif", "image/heic", HEIF),
    ("image/jxl", "image/jxl", &["image/jxl"]),
    ("image/jp2", "image/jp2", &["image/jp2", "image/jpx", "image/jpm", "image/jph", "video/mj2"]),
    ("image/tiff", "image/tiff", &["image/tiff", "image/tiff-fx", "image/x-*", "image/vnd.*", "image/dng"]),
    ("image/bmp", "image/bmp", &["image/bmp", "image/x-bmp", "image/x-ms-bmp"]),
    ("audio/x-flac", "audio/flac", &["audio/flac", "audio/x-flac"]),
    ("audio/x-wav", "audio/wav", &["audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"]),
    ("audio/x-aiff", "audio/x-aiff", &["audio/x-aiff", "audio/aiff"]),
    ("audio/ogg", "audio/ogg", OGG),
    ("audio/opus", "audio/ogg", OGG),
    ("audio/m4a", "audio/mp4", ISO_MEDIA),
    ("video/mp4", "video/mp4", ISO_MEDIA),
    ("video/x-m4v", "video/x-m4v", ISO_MEDIA),
    ("video/quicktime", "video/quicktime", ISO_MEDIA),
    ("video/webm", "video/webm", MATROSKA),
    ("video/x-matroska", "video/matroska", MATROSKA),
    ("video/x-msvideo", "video/x-msvideo", &["video/x-msvideo", "video/avi", "video/msvideo", "video/vnd.avi"]),
    ("video/x-ms-wmv", "video/x-ms-wmv", &["video/x-ms-*", "audio/x-ms-*", "application/vnd.ms-asf"]),
    ("application/pdf", "application/pdf", APPLICATIONS),
    ("application/rtf", "application/rtf", &["application/rtf", "text/rtf", "text/richtext", "application/msword"]),
    ("application/zip", "application/zip", ARCHIVES),
    ("application/epub+zip", "application/epub+zip", ARCHIVES),
    ("application/vnd.rar", "application/vnd.rar", APPLICATIONS),
    ("application/x-7z-compressed", "application/x-7z-compressed", APPLICATIONS),
    ("application/x-xz", "application/x-xz", APPLICATIONS),
    ("application/zstd", "application/zstd", APPLICATIONS),
    ("application/wasm", "application/wasm", APPLICATIONS),
    ("application/x-executable", "application/x-executable", APPLICATIONS),
    ("application/vnd.microsoft.portable-executable", "application/vnd.microsoft.portable-executable", APPLICATIONS),
    ("application/font-woff", "font/woff", FONTS),
    ("application/font-sfnt", "font/ttf", FONTS),
];

/// What a blob counts as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Its media type, in lower case and without parameters.
    pub mime_type: String,
    /// Whether the client did not say what the bytes are.
    pub is_guessed: bool,
}

/// Whether a media type says nothing of what bytes are.
pub fn is_generic(mime_type: &str) -> bool {
    mime_type.contains('*') || GENERIC.iter().any(|generic| mime_type.eq_ignore_ascii_case(generic))
}

/// Whether text is a media type without parameters that says what bytes are.
pub fn is_specific(mime_type: &str) -> bool {
    let is_token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    let parts = mime_type.split_once('/');
    !is_generic(mime_type) && parts.is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
}

/// Tells what bytes count as that begin so; `said` is what the client says of them, without parameters.
pub fn of(head: &[u8], said: &str) -> Kind {
    let said = said.to_ascii_lowercase();
    let seen = seen(head);
    if is_generic(&said) {
        let found = seen.map(|(name, _)| name.to_owned());
        let unknown = if said.contains('*') { UNKNOWN.to_owned() } else { said };
        return Kind { mime_type: found.unwrap_or(unknown), is_guessed: true };
    }
    let mime_type = match seen {
        Some((name, Some(kin))) if !is_among(&said, kin) => name.to_owned(),
        Some(_) => said,
        None => markup_in_disguise(head, &said).map_or(said, str::to_owned),
    };
    Kind { mime_type, is_guessed: false }
}

/// What the marks of binary bytes say: a name, and the kin if they are enough to contradict the client.
fn seen(head: &[u8]) -> Option<(&'static str, Option<&'static [&'static str]>)> {
    let seen = infer::get(head).filter(|seen| seen.matcher_type() != MatcherType::Text)?.mime_type();
    let is_plain = match seen {
        // A two-letter mark proves nothing by itself.
        "image/bmp" => is_bitmap(head),
        "application/vnd.microsoft.portable-executable" => is_portable_executable(head),
        // These may be nothing but text.
        "application/pdf" => head.starts_with(b"%PDF-"),
        "application/rtf" => head.starts_with(b"{\\rtf"),
        _ => !is_text(head),
    };
    if !is_plain {
        return None;
    }
    let format = FORMATS.iter().find(|(theirs, ..)| *theirs == seen);
    let name = match head.get(..4) {
        Some(b"wOF2") => "font/woff2",
        Some(b"OTTO") => "font/otf",
        _ => format.map_or(seen, |(_, ours, _)| *ours),
    };
    let kin = format.map(|(.., kin)| *kin);
    // Office documents are archives to whoever declares them so.
    let kin = kin.or_else(|| seen.starts_with("application/vnd.o").then_some(ARCHIVES));
    Some((name, kin))
}

fn is_among(said: &str, kin: &[&str]) -> bool {
    kin.iter().any(|name| name.strip_suffix('*').map_or(*name == said, |start| said.starts_with(start)))
}

/// The type of markup that is declared as an image, a sound, a film or a font.
fn markup_in_disguise(head: &[u8], said: &str) -> Option<&'static str> {
    let is_binary = ["image/", "audio/", "video/", "font/"].iter().any(|start| said.starts_with(start));
    if !is_binary || said.ends_with("+xml") || !is_text(head) {
        return None;
    }
    let seen = infer::get(head).filter(|seen| seen.matcher_type() == MatcherType::Text)?.mime_type();
    matches!(seen, "text/html" | "text/xml").then_some(seen)
}

/// Whether the bytes could be the beginning of UTF-8 text.
fn is_text(head: &[u8]) -> bool {
    let text = match std::str::from_utf8(head) {
        Ok(text) => text,
        // Cut within a character.
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(head.get(..error.valid_up_to()).unwrap_or_default()).unwrap_or_default()
        }
        Err(_) => return false,
    };
    text.bytes().all(|byte| byte >= b' ' || matches!(byte, b'\t' | b'\n' | b'\r' | b'\x0c' | b'\x1b'))
}

/// Whether bytes that begin with `BM` have the rest of a bitmap's head: the length of one of its known forms.
fn is_bitmap(head: &[u8]) -> bool {
    let length = little_endian(head, 14);
    matches!(length, Some(12 | 16 | 40 | 52 | 56 | 64 | 108 | 124))
}

/// Whether bytes that begin with `MZ` lead to the mark of a program.
fn is_portable_executable(head: &[u8]) -> bool {
    let at = little_endian(head, 0x3c).and_then(|at| usize::try_from(at).ok());
    at.and_then(|at| head.get(at..)?.get(..4)).is_some_and(|mark| mark == b"PE\0\0")
}

fn little_endian(head: &[u8], at: usize) -> Option<u32> {
    head.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(start: &[u8]) -> Vec<u8> {
        let mut bytes = start.to_vec();
        bytes.resize(bytes.len().max(64), 0);
        bytes
    }

    fn bitmap() -> Vec<u8> {
        let mut bytes = padded(b"BM\x46\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0");
        bytes.resize(70, 0xff);
        bytes
    }

    fn program() -> Vec<u8> {
        let mut bytes = padded(b"MZ\x90\0");
        bytes[0x3c] = 0x80;
        bytes.resize(0x80, 0);
        bytes.extend_from_slice(b"PE\0\0\x64\x86");
        bytes
    }

    #[test]
    fn the_client_is_believed_unless_it_says_nothing_or_the_bytes_plainly_contradict() {
        let png = padded(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR");
        let jpeg = padded(b"\xff\xd8\xff\xe0\0\x10JFIF");
        let flac = padded(b"fLaC\0\0\0\x22");
        let wave = padded(b"RIFF\x24\0\0\0WAVEfmt ");
        let zip = padded(b"PK\x03\x04\x14\0\0\0\0\0");
        let heic = padded(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
        let avif = padded(b"\0\0\0\x18ftypavif\0\0\0\0mif1avif");
        let m4a = padded(b"\0\0\0\x20ftypM4A \0\0\0\0");
        let mp4 = padded(b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2");
        let webm = padded(
            b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04\x42\xf3\x81\x08\x42\x82\x84webm",
        );
        let ogg = padded(b"OggS\0\x02\0\0\0\0\0\0\0\0\xde\xad\xbe\xef\0\0\0\0\0\0\0\0\x01\x1e\x01vorbis");
        let (woff, woff2, otf) = (padded(b"wOFF\0\x01\0\0"), padded(b"wOF2\0\x01\0\0"), padded(b"OTTO\0\x0b\0\x80"));
        let ttf = padded(b"\0\x01\0\0\0\x11\x01\0");
        let (bitmap, program) = (bitmap(), program());
        let html = b"<!DOCTYPE html><html><script>alert(1)</script></html>";
        let svg = b"<?xml version=\"1.0\"?><svg xmlns=\"http://www.w3.org/2000/svg\"/>";
        let docx = "application/vnd.openxmlformats-officedocument.wordprocessingml.document";
        let xlsx = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
        let cases: &[(&[u8], &str, &str)] = &[
            // What the client says is one of the names for such bytes.
            (&flac, "audio/flac", "audio/flac"),
            (&flac, "Audio/X-FLAC", "audio/x-flac"),
            (&wave, "audio/wav", "audio/wav"),
            (&wave, "audio/vnd.wave", "audio/vnd.wave"),
            (&zip, docx, docx),
            (&zip, xlsx, xlsx),
            (&zip, "application/epub+zip", "application/epub+zip"),
            (&zip, "model/3mf", "model/3mf"),
            (&heic, "image/heic", "image/heic"),
            (&heic, "image/heif", "image/heif"),
            (&avif, "image/avif", "image/avif"),
            (&m4a, "audio/mp4", "audio/mp4"),
            (&m4a, "audio/x-m4a", "audio/x-m4a"),
            (&mp4, "video/quicktime", "video/quicktime"),
            (&webm, "audio/webm", "audio/webm"),
            (&ogg, "video/ogg", "video/ogg"),
            (&woff, "font/woff", "font/woff"),
            (&woff2, "font/woff2", "font/woff2"),
            (&otf, "font/otf", "font/otf"),
            (&ttf, "font/ttf", "font/ttf"),
            (&ttf, "application/x-font-ttf", "application/x-font-ttf"),
            (&png, "image/apng", "image/apng"),
            // The client says nothing.
            (&png, "application/octet-stream", "image/png"),
            (&png, "*/*", "image/png"),
            (&png, "image/*", "image/png"),
            (&png, "application/x-www-form-urlencoded", "image/png"),
            (&flac, "*/*", "audio/flac"),
            (&wave, "*/*", "audio/wav"),
            (&m4a, "*/*", "audio/mp4"),
            (&heic, "*/*", "image/heic"),
            (&avif, "*/*", "image/avif"),
            (&woff, "*/*", "font/woff"),
            (&woff2, "*/*", "font/woff2"),
            (&otf, "*/*", "font/otf"),
            (&ttf, "*/*", "font/ttf"),
            (&bitmap, "*/*", "image/bmp"),
            (&program, "*/*", "application/vnd.microsoft.portable-executable"),
            (b"", "application/octet-stream", "application/octet-stream"),
            (b"", "*/*", "application/octet-stream"),
            (b"\x01\x02\x03", "image/*", "application/octet-stream"),
            (b"plain text", "*/*", "application/octet-stream"),
            (html, "*/*", "application/octet-stream"),
            // The bytes are plainly something else.
            (&png, "image/jpeg", "image/png"),
            (&jpeg, "image/png", "image/jpeg"),
            (&png, "text/plain", "image/png"),
            (&zip, "image/png", "application/zip"),
            (&program, "image/png", "application/vnd.microsoft.portable-executable"),
            (&mp4, "image/jpeg", "video/mp4"),
            (html, "image/png", "text/html"),
            (html, "video/mp4", "text/html"),
            (svg, "image/png", "text/xml"),
            (b"%PDF-1.7\n%\xe2\xe3", "image/png", "application/pdf"),
            // Text stays text.
            (b"BM is short for many things", "text/plain", "text/plain"),
            (b"MZ is short for others", "text/plain", "text/plain"),
            (b"-----BEGIN THE STORY-----", "text/plain", "text/plain"),
            (b"BM is short for many things", "*/*", "application/octet-stream"),
            (b"{\"a\": 1}", "application/json", "application/json"),
            (b"plain", "Text/Plain", "text/plain"),
            (html, "text/plain", "text/plain"),
            (svg, "image/svg+xml", "image/svg+xml"),
            (b"#!/bin/sh\n", "text/x-shellscript", "text/x-shellscript"),
            // Marks that are too short contradict nobody.
            (b"BM\xff\xff\xff", "application/x-mine", "application/x-mine"),
            (b"\xff\xfb\x90\0", "application/x-mine", "application/x-mine"),
            (b"not a png", "image/png", "image/png"),
        ];
        for (head, said, expected) in cases {
            let kind = of(head, said);
            let start = String::from_utf8_lossy(head.get(..16).unwrap_or(head));
            assert_eq!(kind.mime_type, *expected, "{start:?} said to be {said}");
            assert_eq!(kind.is_guessed, is_generic(said), "{said}");
        }
    }

    #[test]
    fn what_says_something_is_told_from_what_does_not() {
        for said in ["image/png", "text/csv", "application/vnd.a.b+json"] {
            assert!(is_specific(said), "{said}");
        }
        for said in
            ["", "image", "image/", "/png", "*/*", "image/*", "application/octet-stream", "a/b\r\nc: d", "a b/c"]
        {
            assert!(!is_specific(said), "{said}");
        }
    }
}
