//! Content codings of request bodies: gzip, deflate and br, bounded by what they decode to.

use std::io::{self, Read};

use allod_blobstore::objects::Decode;
use brotli_decompressor::Decompressor;
use bytes::Bytes;
use flate2::read::{MultiGzDecoder, ZlibDecoder};
use http::{HeaderValue, header::GetAll};

use super::{Refused, too_large};
use crate::{
    limits,
    xrpc::error::{CommonError, XrpcError},
};

/// How much brotli reads at a time, in bytes.
const BROTLI_BUFFER_BYTES: usize = 4096;

/// A way of coding a body for the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Gzip,
    Deflate,
    Brotli,
}

impl Coding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
        }
    }

    fn reader<'r, R: Read + Send + 'r>(self, coded: R) -> Box<dyn Read + Send + 'r> {
        match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(coded)),
            Self::Deflate => Box::new(ZlibDecoder::new(coded)),
            Self::Brotli => Box::new(Decompressor::new(coded, BROTLI_BUFFER_BYTES)),
        }
    }
}

/// Undoes the codings, last applied first; `bytes_max` bounds every step.
pub(in crate::xrpc) fn decode(
    codings: GetAll<'_, HeaderValue>,
    body: Bytes,
    bytes_max: usize,
) -> Result<Bytes, Refused> {
    let mut decoded = body;
    for coding in named(codings)?.into_iter().rev() {
        decoded = undo(coding, &decoded, bytes_max)?;
    }
    Ok(decoded)
}

/// Gives what undoes the codings of a body that is read as a stream; `None` when it has none.
pub(in crate::xrpc) fn decoder(codings: GetAll<'_, HeaderValue>) -> Result<Option<Decode>, Refused> {
    let named = named(codings)?;
    if named.is_empty() {
        return Ok(None);
    }
    Ok(Some(Box::new(move |coded| named.into_iter().rev().fold(coded, |reader, coding| coding.reader(reader)))))
}

/// Reads the codings in the order they were applied.
fn named(codings: GetAll<'_, HeaderValue>) -> Result<Vec<Coding>, Refused> {
    let mut names = Vec::new();
    for value in codings {
        let value = value.to_str().map_err(|_| unsupported("?"))?;
        names.extend(value.split(',').map(str::trim).filter(|name| !is_identity(name)));
    }
    if names.len() > limits::CONTENT_CODINGS_MAX {
        return Err(unsupported(&names.join(", ")));
    }
    let known = |name: &&str| match name.to_ascii_lowercase().as_str() {
        "gzip" | "x-gzip" => Ok(Coding::Gzip),
        "deflate" => Ok(Coding::Deflate),
        "br" => Ok(Coding::Brotli),
        _ => Err(unsupported(name)),
    };
    names.iter().map(known).collect()
}

fn undo(coding: Coding, coded: &[u8], bytes_max: usize) -> Result<Bytes, Refused> {
    let decoded = read_bounded(coding.reader(coded), bytes_max).map_err(|_| {
        let name = coding.name();
        XrpcError::invalid_request(format!("unable to decode the {name} request body"))
    })?;
    decoded.ok_or_else(too_large)
}

/// Reads to the end, or gives `None` beyond `bytes_max`.
fn read_bounded(reader: impl Read, bytes_max: usize) -> io::Result<Option<Bytes>> {
    let mut decoded = Vec::new();
    reader.take(bytes_max as u64 + 1).read_to_end(&mut decoded)?;
    Ok((decoded.len() <= bytes_max).then(|| decoded.into()))
}

fn is_identity(coding: &str) -> bool {
    coding.is_empty() || coding.eq_ignore_ascii_case("identity")
}

fn unsupported(coding: &str) -> Refused {
    let message = format!("unsupported content encoding \"{coding}\"");
    XrpcError::common(CommonError::UnsupportedMediaType, message)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{
        Compression,
        write::{GzEncoder, ZlibEncoder},
    };
    use http::{HeaderMap, header::CONTENT_ENCODING};

    use super::*;

    const TEXT: &[u8] = b"{\"hello\":\"hello hello hello hello\"}";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    /// One uncompressed brotli meta-block: window bits, length, the bytes, then an empty last block.
    fn brotli(bytes: &[u8]) -> Vec<u8> {
        let length = u32::try_from(bytes.len() - 1).unwrap();
        // WBITS 16 = 0; ISLAST = 0; MNIBBLES 4 = 00; MLEN-1 in 16 bits; ISUNCOMPRESSED = 1.
        let head = (length << 4) | (1 << 20);
        let mut coded = head.to_le_bytes()[..3].to_vec();
        coded.extend_from_slice(bytes);
        coded.push(0b11);
        coded
    }

    fn undo_all(header: &str, body: Vec<u8>, bytes_max: usize) -> Result<Bytes, (CommonError, String)> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_str(header).unwrap());
        decode(headers.get_all(CONTENT_ENCODING), body.into(), bytes_max).map_err(|error| match error {
            XrpcError::Common(error, message) => (error, message.into_owned()),
            XrpcError::Declared(..) | XrpcError::Internal(_) => panic!("another error"),
        })
    }

    #[test]
    fn every_known_coding_is_undone() {
        for (header, body) in [
            ("gzip", gzip(TEXT)),
            ("X-GZIP", gzip(TEXT)),
            ("deflate", zlib(TEXT)),
            ("br", brotli(TEXT)),
            ("identity", TEXT.to_vec()),
            ("deflate, gzip", gzip(&zlib(TEXT))),
        ] {
            assert_eq!(undo_all(header, body, 1000).as_deref(), Ok(TEXT), "{header}");
        }
    }

    #[test]
    fn a_bomb_stops_at_the_limit() {
        let bomb = vec![b' '; 10_000_000];
        for (header, body) in [("gzip", gzip(&bomb)), ("deflate", zlib(&bomb))] {
            assert_eq!(undo_all(header, body, 100_000).unwrap_err().0, CommonError::PayloadTooLarge, "{header}");
        }
        assert!(undo_all("gzip", gzip(&[b' '; 1000]), 1000).is_ok());
        assert!(undo_all("gzip", gzip(&[b' '; 1001]), 1000).is_err());
    }

    #[test]
    fn unknown_and_piled_up_codings_are_refused() {
        let refused = |header: &str| undo_all(header, TEXT.to_vec(), 1000).unwrap_err();
        let expected = (CommonError::UnsupportedMediaType, "unsupported content encoding \"zstd\"".to_owned());
        assert_eq!(refused("zstd"), expected);
        assert_eq!(refused("gzip, gzip, gzip").0, CommonError::UnsupportedMediaType);
    }

    #[test]
    fn what_does_not_decode_is_the_clients_fault() {
        for header in ["gzip", "deflate", "br"] {
            assert_eq!(
                undo_all(header, b"\xff\xffnonsense".to_vec(), 1000).unwrap_err().0,
                CommonError::InvalidRequest
            );
        }
    }
}
