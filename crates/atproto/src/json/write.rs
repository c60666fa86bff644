//! From CBOR to JSON text in one step, for records on their way to a client.

use std::io::Write;

use data_encoding::BASE64_NOPAD;

use crate::cbor::{CborError, DEPTH_MAX, Decoder, Kind};

/// Writes the JSON text of exactly one value in CBOR after what `out` holds: the same text, and the same errors, as
/// of [`cbor::decode`](crate::cbor::decode), [`from_value`](super::from_value) and serde, without the values in between.
///
/// Errors: CBOR that is not strict; `out` is then as it was.
pub fn write_json(cbor: &[u8], out: &mut Vec<u8>) -> Result<(), CborError> {
    let before = out.len();
    let mut decoder = Decoder::new(cbor);
    let written = value(&mut decoder, out, DEPTH_MAX).and_then(|()| decoder.end());
    if written.is_err() {
        out.truncate(before);
    }
    written
}

fn value(decoder: &mut Decoder<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), CborError> {
    match decoder.kind()? {
        Kind::Null => {
            decoder.null()?;
            out.extend_from_slice(b"null");
        }
        Kind::Bool => out.extend_from_slice(if decoder.bool()? { b"true" } else { b"false" }),
        Kind::Integer => integer(decoder.int()?, out),
        Kind::Text => text(decoder.text()?, out),
        Kind::Bytes => {
            let bytes = decoder.bytes()?;
            single("$bytes", out, |out| {
                let start = out.len();
                out.resize(start + BASE64_NOPAD.encode_len(bytes.len()), 0);
                BASE64_NOPAD.encode_mut(bytes, out.get_mut(start..).unwrap_or_default());
            });
        }
        Kind::Link => {
            let link = decoder.any_link()?;
            single("$link", out, |out| match link.cid() {
                Some(cid) => out.extend_from_slice(&cid.to_ascii()),
                None => out.extend_from_slice(link.to_string().as_bytes()),
            });
        }
        Kind::Array => array(decoder, out, deeper(depth)?)?,
        Kind::Map => map(decoder, out, deeper(depth)?)?,
    }
    Ok(())
}

fn array(decoder: &mut Decoder<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), CborError> {
    out.push(b'[');
    for index in 0..decoder.array()? {
        if index > 0 {
            out.push(b',');
        }
        value(decoder, out, depth)?;
    }
    out.push(b']');
    Ok(())
}

fn map(decoder: &mut Decoder<'_>, out: &mut Vec<u8>, depth: usize) -> Result<(), CborError> {
    out.push(b'{');
    let mut previous = None;
    for _ in 0..decoder.map()? {
        let key = decoder.key(previous)?;
        if previous.is_some() {
            out.push(b',');
        }
        text(key, out);
        out.push(b':');
        value(decoder, out, depth)?;
        previous = Some(key);
    }
    out.push(b'}');
    Ok(())
}

/// Writes an object with one field, whose text needs no escapes.
fn single(key: &str, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"");
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(b"\":\"");
    write(out);
    out.extend_from_slice(b"\"}");
}

/// Writes a number in full.
fn integer(number: i64, out: &mut Vec<u8>) {
    // Writing to a vector can't fail.
    let _ = write!(out, "{number}");
}

/// Writes a string with the escapes that serde has: only those that JSON demands.
fn text(text: &str, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20)) {
        let (plain, from) = rest.split_at(at);
        out.extend_from_slice(plain);
        let Some((byte, after)) = from.split_first() else { break };
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x08 => out.extend_from_slice(b"\\b"),
            0x0c => out.extend_from_slice(b"\\f"),
            byte => {
                out.extend_from_slice(b"\\u00");
                out.extend([byte >> 4, byte & 0xf].iter().filter_map(|digit| HEX.get(usize::from(*digit))));
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
    out.push(b'"');
}

fn deeper(depth: usize) -> Result<usize, CborError> {
    depth.checked_sub(1).ok_or(CborError::Depth)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::from_value;
    use super::*;
    use crate::cbor::tests::any_value;
    use crate::cbor::{Value, decode, encode};

    fn by_value(cbor: &[u8]) -> Result<String, CborError> {
        decode(cbor).map(|value| serde_json::to_string(&from_value(&value)).unwrap())
    }

    fn written(cbor: &[u8]) -> Result<String, CborError> {
        let mut out = b"before".to_vec();
        let result = write_json(cbor, &mut out);
        let text = String::from_utf8(out).unwrap();
        let text = text.strip_prefix("before").unwrap();
        result.map(|()| text.to_owned()).inspect_err(|_| assert_eq!(text, ""))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(256))]

        #[test]
        fn gives_what_goes_by_the_value(value in any_value()) {
            let cbor = encode(&value);
            prop_assert_eq!(written(&cbor), by_value(&cbor));
        }

        #[test]
        fn takes_no_other_bytes(value in any_value(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
            let mut cbor = encode(&value);
            let at = at.index(cbor.len());
            cbor[at] = to;
            prop_assert_eq!(written(&cbor), by_value(&cbor));
            cbor.truncate(at);
            prop_assert_eq!(written(&cbor), by_value(&cbor));
        }
    }

    #[test]
    fn escapes_as_serde_does() {
        let all: String = (0..=0x2100).filter_map(char::from_u32).collect();
        for text in [all.as_str(), "", "\"", "\\\"\u{1f}", "plain"] {
            let cbor = encode(&Value::from(text));
            assert_eq!(written(&cbor), Ok(serde_json::to_string(text).unwrap()));
        }
    }

    #[test]
    fn integers_are_exact() {
        for number in [0, -1, i64::MAX, i64::MIN, 1 << 53] {
            assert_eq!(written(&encode(&Value::Integer(number))), Ok(number.to_string()));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth: usize| [vec![0x81; depth], vec![0xf6]].concat();
        assert_eq!(written(&nested(DEPTH_MAX)), by_value(&nested(DEPTH_MAX)));
        assert_eq!(written(&nested(DEPTH_MAX + 1)), Err(CborError::Depth));
    }
}
