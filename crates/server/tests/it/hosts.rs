//! Which host a request is for, over HTTP/1.1 and HTTP/2.

use std::net::SocketAddr;

use allod_testkit::TestPds;
use http::{StatusCode, header::HOST};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

fn address(pds: &TestPds) -> SocketAddr {
    pds.url().strip_prefix("http://").unwrap().parse().unwrap()
}

/// A client that speaks HTTP/2 from the first byte, and finds every host at the server.
fn http2(pds: &TestPds) -> reqwest::Client {
    #[expect(clippy::disallowed_methods, reason = "the addresses are the test's own")]
    let builder = reqwest::Client::builder();
    let builder = builder.no_proxy().http2_prior_knowledge();
    ["alice.test", "localhost", "rebound.example"]
        .iter()
        .fold(builder, |builder, name| builder.resolve(name, address(pds)))
        .build()
        .unwrap()
}

/// Sends one request as these bytes, and gives the answer.
async fn raw(pds: &TestPds, head: &str) -> String {
    #[expect(clippy::disallowed_methods, reason = "the test is the client")]
    let mut stream = TcpStream::connect(address(pds)).await.unwrap();
    stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn over_http2_the_authority_names_the_host() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let (client, port) = (http2(&pds), address(&pds).port());
    let get = |host: &str, path: &str| client.get(format!("http://{host}:{port}/.well-known/{path}"));
    let reply = get("alice.test", "atproto-did").send().await.unwrap();
    assert_eq!((reply.version(), reply.status()), (http::Version::HTTP_2, StatusCode::OK));
    assert_eq!(reply.text().await.unwrap(), alice.did.as_str());
    assert_eq!(get("localhost", "did.json").send().await.unwrap().status(), StatusCode::OK);
    assert_eq!(get("rebound.example", "atproto-did").send().await.unwrap().status(), StatusCode::NOT_FOUND);
    let conflicting = get("alice.test", "atproto-did").header(HOST, "bob.test").send().await.unwrap();
    assert_eq!(conflicting.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn a_whole_url_as_request_target_names_the_host() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for (target, host, status) in [
        ("http://alice.test/.well-known/atproto-did", "Host: alice.test\r\n", 200),
        ("http://ALICE.test:80/.well-known/atproto-did", "Host: alice.test.\r\n", 200),
        ("/.well-known/atproto-did", "Host: ALICE.test.:2583\r\n", 200),
        ("http://alice.test/.well-known/atproto-did", "Host: bob.test\r\n", 400),
        ("http://alice.test/.well-known/atproto-did", "", 400),
        ("/.well-known/atproto-did", "", 400),
        ("/.well-known/atproto-did", "Host: alice.test\r\nHost: alice.test\r\n", 400),
        ("/.well-known/atproto-did", "Host: alice.test/\r\n", 400),
        ("/xrpc/_health", "Host: a b\r\n", 400),
        ("/.well-known/atproto-did", "Host:\r\n", 404),
    ] {
        let answer = raw(&pds, &format!("GET {target} HTTP/1.1\r\n{host}")).await;
        assert_eq!(answer.get(9..12), Some(status.to_string().as_str()), "{target} {host:?}: {answer}");
        assert_eq!(answer.ends_with(alice.did.as_str()), status == 200, "{answer}");
    }
}

#[tokio::test]
async fn captured_mail_is_not_shown_under_a_name_of_somebody_else() {
    let pds = TestPds::start().await;
    let (client, port) = (http2(&pds), address(&pds).port());
    for (host, status) in [
        ("localhost", 200),
        ("localhost:2583", 200),
        ("127.0.0.1", 200),
        ("[::1]:80", 200),
        ("rebound.example", 421),
        ("localhost.rebound.example", 421),
        ("alice.test", 421),
    ] {
        let answer = raw(&pds, &format!("GET /dev/mail?format=json HTTP/1.1\r\nHost: {host}\r\n")).await;
        assert_eq!(answer.get(9..12), Some(status.to_string().as_str()), "{host}: {answer}");
        assert_eq!(answer.contains("messages"), status == 200, "{answer}");
    }
    let rebound = client.get(format!("http://rebound.example:{port}/dev/mail")).send().await.unwrap();
    assert_eq!(rebound.status(), StatusCode::MISDIRECTED_REQUEST);
}
