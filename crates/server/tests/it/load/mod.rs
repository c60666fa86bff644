//! What strangers can make the server hold: the bytes of answers and limited places. And answers that are coded.

mod answers;
mod bounds;
mod coding;
mod flood;
mod places;

use std::time::Duration;

use allod_testkit::TestPds;
use bytes::Bytes;
use h2::client::{self, SendRequest};
use http::Request;
use tokio::net::TcpStream;

/// An HTTP/2 connection whose client takes no byte of any answer.
struct Stalled(SendRequest<Bytes>);

impl Stalled {
    async fn connect(pds: &TestPds) -> Self {
        Self::with_window(pds, 0).await
    }

    /// A connection whose client takes so many bytes of each answer until it asks for more.
    async fn with_window(pds: &TestPds, bytes: u32) -> Self {
        let address = pds.url().trim_start_matches("http://").to_owned();
        #[expect(clippy::disallowed_methods, reason = "the test is the client")]
        let stream = TcpStream::connect(address).await.unwrap();
        let (client, connection) =
            client::Builder::new().initial_window_size(bytes).handshake::<_, Bytes>(stream).await.unwrap();
        // It ends with the test.
        tokio::spawn(connection);
        Self(client)
    }

    /// Sends a request without an end; what is returned keeps it open.
    async fn open(&self, request: Request<()>, is_whole: bool) -> (client::ResponseFuture, h2::SendStream<Bytes>) {
        let mut client = self.0.clone().ready().await.unwrap();
        client.send_request(request, is_whole).unwrap()
    }
}

/// Waits until something is so.
async fn until(what: &str, is_so: impl Fn() -> bool) {
    let waited = tokio::time::timeout(Duration::from_secs(20), async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    });
    assert!(waited.await.is_ok(), "{what}");
}
