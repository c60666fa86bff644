//! A small blocking HTTP/1.1 client over one kept connection, for driving servers on this machine.
//!
//! Speaks plain HTTP to `host:port`, reads bodies by length or in chunks, and nothing more.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);
/// The largest answer read, in bytes.
const BODY_BYTES_MAX: u64 = 64 * 1024 * 1024;

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
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// One kept connection.
pub(crate) struct Connection {
    authority: String,
    stream: BufReader<TcpStream>,
}

impl Connection {
    /// Connects to the origin of `url`, which has the form `http://host:port`.
    pub(crate) fn open(url: &str) -> io::Result<Self> {
        let authority = authority(url)?;
        let address = authority.to_socket_addrs()?.next().ok_or_else(|| malformed("the host has no address"))?;
        #[expect(clippy::disallowed_methods, reason = "the address is the developer's own")]
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
        Ok(Self { authority, stream: BufReader::new(stream) })
    }

    /// Asks for a path.
    pub(crate) fn get(&mut self, path: &str) -> io::Result<Answer> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.authority);
        self.exchange(head.as_bytes(), &[])
    }

    /// Sends JSON to a path.
    pub(crate) fn post(&mut self, path: &str, headers: &str, body: &serde_json::Value) -> io::Result<Answer> {
        let body = body.to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n{headers}\r\n",
            self.authority,
            body.len()
        );
        self.exchange(head.as_bytes(), body.as_bytes())
    }

    fn exchange(&mut self, head: &[u8], body: &[u8]) -> io::Result<Answer> {
        self.stream.get_mut().write_all(&[head, body].concat())?;
        read_answer(&mut self.stream)
    }
}

/// Takes the `host:port` out of a plain-HTTP URL.
fn authority(url: &str) -> io::Result<String> {
    let rest = url.strip_prefix("http://").ok_or_else(|| malformed("only http:// URLs are spoken to"))?;
    let authority = rest.split('/').next().unwrap_or(rest);
    Ok(if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") })
}

fn read_answer(stream: &mut impl BufRead) -> io::Result<Answer> {
    let status_line = line(stream)?;
    let status = status_line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| malformed(&format!("no status in {status_line:?}")))?;
    let (mut length, mut chunked) = (0, false);
    loop {
        let header = line(stream)?.to_ascii_lowercase();
        match header.split_once(':') {
            None => break,
            Some(("content-length", value)) => length = value.trim().parse().map_err(|_| malformed(&header))?,
            Some(("transfer-encoding", value)) => chunked = value.trim() == "chunked",
            Some(_) => {}
        }
    }
    let body = if chunked { read_chunks(stream)? } else { read_exactly(stream, length)? };
    Ok(Answer { status, body })
}

fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let size = line(stream)?;
        let size = u64::from_str_radix(size.trim(), 16).map_err(|_| malformed("a chunk without a size"))?;
        body.extend(read_exactly(stream, size)?);
        line(stream)?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn read_exactly(stream: &mut impl BufRead, bytes: u64) -> io::Result<Vec<u8>> {
    if bytes > BODY_BYTES_MAX {
        return Err(malformed("the answer is too large"));
    }
    let mut body = Vec::new();
    stream.take(bytes).read_to_end(&mut body)?;
    if body.len() as u64 == bytes { Ok(body) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

fn line(stream: &mut impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(line.trim_end().to_owned())
}

fn malformed(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> io::Result<Answer> {
        read_answer(&mut text.as_bytes())
    }

    #[test]
    fn reads_a_body_by_its_length_and_leaves_the_rest() {
        let mut stream = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}HTTP/1.1 204 No\r\n\r\n".as_bytes();
        let first = read_answer(&mut stream).unwrap();
        assert_eq!((first.status, first.body.as_slice()), (200, b"{}".as_slice()));
        assert_eq!(read_answer(&mut stream).unwrap().status, 204);
    }

    #[test]
    fn reads_chunks() {
        let answer =
            read("HTTP/1.1 400 Bad\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n").unwrap();
        assert_eq!((answer.status, answer.body.as_slice()), (400, b"abcd".as_slice()));
    }

    #[test]
    fn refuses_what_is_cut_short_or_no_answer() {
        assert!(read("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc").is_err());
        assert!(read("hello\r\n\r\n").is_err());
        assert!(read("").is_err());
    }

    #[test]
    fn takes_host_and_port_out_of_a_url() {
        assert_eq!(authority("http://localhost:2583/xrpc").unwrap(), "localhost:2583");
        assert_eq!(authority("http://example.com").unwrap(), "example.com:80");
        assert!(authority("https://example.com").is_err());
    }
}
