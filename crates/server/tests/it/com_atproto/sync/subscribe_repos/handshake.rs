//! Before there is a stream.

use allod_server::domain::firehose::seats::SUBSCRIBERS_PER_ADDRESS_MAX;
use allod_testkit::TestPds;
use http::Method;

use super::PATH;

const NSID: &str = "com.atproto.sync.subscribeRepos";

/// What a client sends that wants a WebSocket.
const ASKED: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn what_asks_for_no_stream_is_told_how() {
    let pds = TestPds::start().await;
    let reply = pds.xrpc_get(NSID).send().await;
    assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (426, Some("UpgradeRequired")));
    assert_eq!(reply.headers["upgrade"], "websocket");
    assert_eq!(reply.headers["sec-websocket-version"], "13");
    for verb in [Method::POST, Method::PUT, Method::DELETE] {
        let request = pds.client().request(verb.clone(), format!("{}{PATH}", pds.url()));
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 405, "{verb}");
        assert_eq!(reply.headers()["allow"], "GET");
    }
    let (status, name, _) = pds.xrpc_post(NSID).error().await;
    assert_eq!((status, name.as_str()), (405, "MethodNotAllowed"));
    assert!(pds.app().firehose.listeners().is_empty());
}

#[tokio::test]
async fn a_handshake_that_is_wrong_is_refused() {
    let pds = TestPds::start().await;
    for (name, value, status) in [
        ("connection", "keep-alive", 426),
        ("upgrade", "h2c", 426),
        ("sec-websocket-version", "8", 426),
        ("sec-websocket-key", "short", 400),
        ("sec-websocket-key", "", 400),
    ] {
        let mut request = pds.client().get(format!("{}{PATH}", pds.url()));
        for (header, usual) in ASKED {
            request = request.header(header, if header == name { value } else { usual });
        }
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{name}: {value}");
    }
}

#[tokio::test]
async fn subprotocols_are_tolerated_and_ours_is_taken() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    for (offered, taken) in [
        ("xrpc.v1.json, xrpc.v1.cbor", None),
        ("xrpc.v1.cbor, xrpc.v0.cbor", Some("xrpc.v0.cbor")),
        ("xrpc.v0.cbor", Some("xrpc.v0.cbor")),
        ("chat", None),
    ] {
        let headers = ASKED.into_iter().chain([("sec-websocket-protocol", offered)]);
        let mut request = pds.client().get(format!("{}{PATH}?cursor=0", pds.url()));
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let reply = request.send().await.unwrap();
        assert_eq!(reply.status(), 101, "{offered}");
        let answered = reply.headers().get("sec-websocket-protocol").map(|value| value.to_str().unwrap());
        assert_eq!(answered, taken, "{offered}");
        assert_eq!(reply.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}

#[tokio::test]
async fn an_address_has_its_share_of_streams() {
    let pds = TestPds::start().await;
    let from = |address| [("x-forwarded-for", address)];
    let mut streams = Vec::new();
    for _ in 0..SUBSCRIBERS_PER_ADDRESS_MAX {
        streams.push(pds.stream(PATH, &from("192.0.2.7")).await.unwrap());
    }
    let (status, body) = pds.stream(PATH, &from("192.0.2.7")).await.unwrap_err();
    assert_eq!(status, 429);
    assert!(body.contains("RateLimitExceeded"), "{body}");
    streams.push(pds.stream(PATH, &from("192.0.2.8")).await.unwrap());
    streams.push(pds.subscribe(None).await);
    let addresses: Vec<String> =
        pds.app().firehose.listeners().iter().map(|listener| listener.address.to_string()).collect();
    assert_eq!(addresses.iter().filter(|address| *address == "192.0.2.7").count(), SUBSCRIBERS_PER_ADDRESS_MAX);
    assert_eq!(addresses.len(), SUBSCRIBERS_PER_ADDRESS_MAX + 2);
    pds.account("alice").await;
    for stream in &mut streams {
        assert_eq!(stream.seqs(4).await, [1, 2, 3, 4]);
    }
}
