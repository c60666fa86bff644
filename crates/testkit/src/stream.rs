//! A consumer of the firehose.

use std::time::Duration;

use allod_atproto::frame::{self, Frame};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::{HeaderName, HeaderValue, Request};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest},
};

/// How long a consumer waits for something that must come. Generous: it is only waited for when a test fails.
const WAIT: Duration = Duration::from_secs(20);

/// A stream that is read by a test.
#[derive(Debug)]
pub struct Stream {
    socket: WebSocketStream<TcpStream>,
    /// What the server answered to the handshake.
    pub response: http::Response<()>,
}

/// What came on a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// A message of bytes.
    Binary(Bytes),
    /// A message of text.
    Text(String),
    /// The end: code and reason.
    Close(u16, String),
    /// The connection broke off without an end.
    Gone,
}

impl Stream {
    /// Opens a stream; a refusal is given as status and body.
    pub async fn open(url: &str, headers: &[(&str, &str)]) -> Result<Self, (u16, String)> {
        let mut request: Request<()> = url.into_client_request().expect("a test gives URLs that parse");
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).expect("a header's name");
            request.headers_mut().append(name, HeaderValue::from_str(value).expect("a header's value"));
        }
        let host = request.uri().authority().expect("the URL has a host").to_string();
        #[expect(clippy::disallowed_methods, reason = "the address is the test's own")]
        let tcp = TcpStream::connect(host).await.expect("the server takes connections");
        match tokio_tungstenite::client_async(request, tcp).await {
            Ok((socket, response)) => Ok(Self { socket, response: response.map(|_| ()) }),
            Err(tungstenite::Error::Http(response)) => {
                let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
                Err((response.status().as_u16(), body))
            }
            Err(error) => panic!("no handshake: {error}"),
        }
    }

    /// Waits for what comes next; pings are answered meanwhile.
    pub async fn next(&mut self) -> Told {
        let next = async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Binary(bytes))) => return Told::Binary(bytes),
                    Some(Ok(Message::Text(text))) => return Told::Text(text.to_string()),
                    Some(Ok(Message::Close(Some(close)))) => {
                        return Told::Close(close.code.into(), close.reason.to_string());
                    }
                    Some(Ok(Message::Close(None))) => return Told::Close(1005, String::new()),
                    Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                    Some(Err(_)) | None => return Told::Gone,
                }
            }
        };
        tokio::time::timeout(WAIT, next).await.expect("the stream tells nothing")
    }

    /// Waits for a frame, which must decode.
    pub async fn frame(&mut self) -> Frame {
        match self.next().await {
            Told::Binary(bytes) => frame::decode(&bytes).expect("a frame decodes"),
            other @ (Told::Text(_) | Told::Close(..) | Told::Gone) => panic!("not a frame: {other:?}"),
        }
    }

    /// Waits for so many frames and gives their numbers.
    pub async fn seqs(&mut self, count: usize) -> Vec<i64> {
        let mut seqs = Vec::with_capacity(count);
        while seqs.len() < count {
            seqs.push(self.frame().await.seq.expect("the frame has a number"));
        }
        seqs
    }

    /// Sends a text message.
    pub async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("the server reads");
    }

    /// The socket itself.
    pub fn socket(&mut self) -> &mut WebSocketStream<TcpStream> {
        &mut self.socket
    }
}
