//! A small blocking HTTP/1.1 client over one kept connection, for driving servers on this machine.
//!
//! Speaks plain HTTP to `host:port`, reads bodies by length or in chunks, and nothing more. It is cheap, since a load
//! driver shares the machine with the server it measures: one write for a request, no allocation for an answer's head.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// The largest answer kept, in bytes.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// How much is read at once, in bytes.
const READ_BYTES: usize = 64 * 1024;

/// A server's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Vec<u8>,
}

impl Answer {
    /// Reads the body as JSON; no JSON is `Null`.
    #[expect(clippy::disallowed_methods, reason = "the server is the developer's own")]
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One kept connection.
pub(crate) struct Connection {
    authority: String,
    stream: BufReader<TcpStream>,
    line: Vec<u8>,
}

impl Connection {
    /// Connects to the origin of `url`, which has the form `http://host:port`.
    pub(crate) fn open(url: &str) -> io::Result<Self> {
        let (authority, stream) = connect(url)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { authority, stream: BufReader::with_capacity(READ_BYTES, stream), line: Vec::new() })
    }

    /// Asks for a path.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        let request = get(&self.authority, path, "");
        self.keep(&request)
    }

    /// Sends JSON to a path.
    pub(crate) fn post(&mut self, path: &str, headers: &str, body: &serde_json::Value) -> io::Result<Answer> {
        let request = post(&self.authority, path, headers, "application/json", body.to_string().as_bytes());
        self.keep(&request)
    }

    /// Sends a whole request and keeps the answer.
    pub(crate) fn keep(&mut self, request: &[u8]) -> io::Result<Answer> {
        let mut body = Vec::new();
        let status = self.exchange(request, |part| {
            if body.len() + part.len() > BODY_BYTES_MAX {
                return Err(malformed("the answer is too large"));
            }
            body.extend_from_slice(part);
            Ok(())
        })?;
        Ok(Answer { status, body })
    }

    /// Sends a whole request and hands the answer's body over part by part; answers the status.
    pub(crate) fn exchange(
        &mut self,
        request: &[u8],
        part_seen: impl FnMut(&[u8]) -> io::Result<()>,
    ) -> io::Result<u16> {
        self.stream.get_mut().write_all(request)?;
        read_answer(&mut self.stream, &mut self.line, part_seen)
    }
}

/// Opens a connection to the origin of `url`; answers the `host:port` to name in requests, too.
pub(crate) fn connect(url: &str) -> io::Result<(String, TcpStream)> {
    let authority = authority(url)?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the address is the developer's own, and nothing waits for this thread"
    )]
    let address = authority.to_socket_addrs()?.next().ok_or_else(|| malformed("the host has no address"))?;
    #[expect(clippy::disallowed_methods, reason = "the address is the developer's own")]
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    Ok((authority, stream))
}

/// Builds a request without a body. `headers` are whole lines with their ends.
pub(crate) fn get(authority: &str, path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nhost: {authority}\r\n{headers}\r\n").into_bytes()
}

/// Builds a request with a body. `headers` are whole lines with their ends.
pub(crate) fn post(authority: &str, path: &str, headers: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {authority}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// Takes the `host:port` out of a plain-HTTP URL.
pub(crate) fn authority(url: &str) -> io::Result<String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| malformed("only http:// URLs are spoken to"))?;
    let authority = rest.split('/').next().unwrap_or(rest);
    Ok(if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") })
}

fn read_answer(
    stream: &mut impl BufRead,
    line: &mut Vec<u8>,
    mut part_seen: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<u16> {
    read_line(stream, line)?;
    let status = line.split(|&byte| byte == b' ').nth(1).and_then(|code| str::from_utf8(code).ok()?.parse().ok());
    let status = status.ok_or_else(|| malformed(&format!("no status in {:?}", String::from_utf8_lossy(line))))?;
    let (mut length, mut chunked) = (0, false);
    loop {
        read_line(stream, line)?;
        let Some(colon) = line.iter().position(|&byte| byte == b':') else { break };
        let (name, value) = line.split_at(colon);
        let value = || value.get(1..).and_then(|value| str::from_utf8(value).ok()).map(str::trim);
        if name.eq_ignore_ascii_case(b"content-length") {
            length = value().and_then(|value| value.parse().ok()).ok_or_else(|| malformed("no number as length"))?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            chunked = value() == Some("chunked");
        }
    }
    if chunked {
        read_chunks(stream, line, part_seen)?;
    } else {
        read_exactly(stream, length, &mut part_seen)?;
    }
    Ok(status)
}

fn read_chunks(
    stream: &mut impl BufRead,
    line: &mut Vec<u8>,
    mut part_seen: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    loop {
        read_line(stream, line)?;
        let size = str::from_utf8(line).ok().and_then(|size| u64::from_str_radix(size.trim(), 16).ok());
        let size = size.ok_or_else(|| malformed("a chunk without a size"))?;
        read_exactly(stream, size, &mut part_seen)?;
        read_line(stream, line)?;
        if size == 0 {
            return Ok(());
        }
    }
}

fn read_exactly(
    stream: &mut impl BufRead,
    mut left: u64,
    part_seen: &mut impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    while left > 0 {
        let part = stream.fill_buf()?;
        let count = part.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some(part) = part.get(..count).filter(|part| !part.is_empty()) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        part_seen(part)?;
        stream.consume(count);
        left -= count as u64;
    }
    Ok(())
}

/// Reads a line without its end.
fn read_line(stream: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<()> {
    line.clear();
    if stream.read_until(b'\n', line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_ascii_end().len());
    Ok(())
}

fn malformed(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(stream: &mut impl BufRead) -> io::Result<(u16, Vec<u8>)> {
        let mut body = Vec::new();
        let status = read_answer(stream, &mut Vec::new(), |part| {
            body.extend_from_slice(part);
            Ok(())
        })?;
        Ok((status, body))
    }

    fn read(text: &str) -> io::Result<(u16, Vec<u8>)> {
        read_from(&mut text.as_bytes())
    }

    #[test]
    fn reads_a_body_by_its_length_and_leaves_the_rest() {
        let mut stream = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 204 No\r\n\r\n".as_bytes();
        assert_eq!(read_from(&mut stream).unwrap(), (200, b"{}".to_vec()));
        assert_eq!(read_from(&mut stream).unwrap().0, 204);
    }

    #[test]
    fn reads_chunks() {
        let answer =
            read("HTTP/1.1 400 Bad\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n").unwrap();
        assert_eq!(answer, (400, b"abcd".to_vec()));
    }

    #[test]
    fn refuses_what_is_cut_short_or_no_answer() {
        assert!(read("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc").is_err());
        assert!(read("HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nabc").is_err());
        assert!(read("hello\r\n\r\n").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn stops_where_a_body_is_refused() {
        let refuse = |_: &[u8]| Err(malformed("enough"));
        let mut stream = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}".as_bytes();
        assert!(read_answer(&mut stream, &mut Vec::new(), refuse).is_err());
    }

    #[test]
    fn builds_requests() {
        assert_eq!(get("h:1", "/p", "a: b\r\n"), b"GET /p HTTP/1.1\r\nhost: h:1\r\na: b\r\n\r\n");
        let request = post("h:1", "/p", "", "text/plain", b"hi");
        assert_eq!(
            request,
            b"POST /p HTTP/1.1\r\nhost: h:1\r\ncontent-type: text/plain\r\ncontent-length: 2\r\n\r\nhi"
        );
    }

    #[test]
    fn takes_host_and_port_out_of_a_url() {
        assert_eq!(authority("http://localhost:2583/xrpc").unwrap(), "localhost:2583");
        assert_eq!(authority("http://example.com").unwrap(), "example.com:80");
        assert!(authority("https://example.com").is_err());
    }
}
