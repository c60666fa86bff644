//! Whose address a caller is counted by, behind proxies that are trusted and such as are not.

use allod_http::address::{self, TrustedProxies};
use allod_server::{
    config::Config,
    domain::{firehose::seats::SUBSCRIBERS_PER_ADDRESS_MAX, shares},
};
use allod_testkit::{Options, Reply, TestPds};

const DESCRIBE: &str = "com.atproto.server.describeServer";
const STREAM: &str = "/xrpc/com.atproto.sync.subscribeRepos";

/// A server in production, which counts calls.
fn in_production(change: fn(&mut Config)) -> Options {
    TestPds::options().config(move |config| {
        config.dev_mode = false;
        config.rate_limits.enabled = true;
        change(config);
    })
}

async fn described(pds: &TestPds, header: Option<(&str, &str)>) -> Reply {
    let call = pds.xrpc_get(DESCRIBE);
    match header {
        Some((name, value)) => call.header(name, value),
        None => call,
    }
    .send()
    .await
}

/// How many calls the caller's address has left.
fn left(reply: &Reply) -> u32 {
    reply.headers["ratelimit-remaining"].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn in_production_this_machine_is_counted_like_any_address() {
    let pds = in_production(|_| {}).start().await;
    assert_eq!(left(&described(&pds, None).await), 2_999);
    assert_eq!(left(&described(&pds, None).await), 2_998);
    assert_eq!(left(&described(&pds, Some(("x-forwarded-for", "127.0.0.1"))).await), 2_997);
}

#[tokio::test]
async fn a_client_is_counted_by_its_address_in_whatever_form_a_proxy_writes_it() {
    let pds = in_production(|_| {}).start().await;
    let v4 = ["203.0.113.9:4711", "192.0.2.1, 203.0.113.9", "\"203.0.113.9:4711\"", "::ffff:203.0.113.9"];
    for (n, form) in (1..).zip(v4) {
        assert_eq!(left(&described(&pds, Some(("x-forwarded-for", form))).await), 3_000 - n, "{form}");
    }
    assert_eq!(left(&described(&pds, Some(("forwarded", "for=\"203.0.113.9:80\";proto=https"))).await), 2_995);
    let v6 = ["[2001:db8::1]:4711", "2001:db8::2", "[2001:db8::3]"];
    for (n, form) in (1..).zip(v6) {
        assert_eq!(left(&described(&pds, Some(("x-forwarded-for", form))).await), 3_000 - n, "{form}");
    }
}

#[tokio::test]
async fn what_is_no_address_counts_by_the_peer() {
    let pds = in_production(|_| {}).start().await;
    let forms = ["unknown", "_hidden", "", "198.51.100.1, unknown", "198.51.100.1,", "203.0.113.9:", "nonsense"];
    for (n, form) in (1..).zip(forms) {
        assert_eq!(left(&described(&pds, Some(("x-forwarded-for", form))).await), 3_000 - n, "{form}");
    }
    assert_eq!(left(&described(&pds, Some(("forwarded", "for=\"x, for=198.51.100.1"))).await), 2_992);
}

#[tokio::test]
async fn a_peer_that_is_not_trusted_is_not_believed() {
    let pds = in_production(|config| config.trusted_proxies = TrustedProxies::parse(["none"].into_iter()).unwrap());
    let pds = pds.start().await;
    for n in 1..5 {
        let address = format!("198.51.100.{n}");
        assert_eq!(left(&described(&pds, Some(("x-forwarded-for", &address))).await), 3_000 - n);
    }
}

#[tokio::test]
async fn in_production_no_address_has_more_than_its_share_of_streams() {
    let pds = in_production(|config| config.rate_limits.enabled = false).start().await;
    for headers in [&[][..], &[("x-forwarded-for", "10.0.0.7")], &[("x-forwarded-for", "192.0.2.7")]] {
        let mut streams = Vec::new();
        for _ in 0..SUBSCRIBERS_PER_ADDRESS_MAX {
            streams.push(pds.stream(STREAM, headers).await.unwrap());
        }
        let (status, body) = pds.stream(STREAM, headers).await.unwrap_err();
        assert_eq!(status, 429, "{headers:?}: {body}");
    }
}

#[tokio::test]
async fn a_stream_that_opens_tells_where_its_caller_stands() {
    let pds = in_production(|_| {}).start().await;
    let mut request = pds.client().get(format!("{}{STREAM}", pds.url()));
    for (name, value) in [
        ("connection", "Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        request = request.header(name, value);
    }
    let reply = request.send().await.unwrap();
    assert_eq!((reply.status().as_u16(), &reply.headers()["ratelimit-remaining"]), (101, &"2999".parse().unwrap()));
}

#[test]
fn connections_and_limited_places_count_by_the_same_network() {
    for address in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2:3:4:5:6", "fe80::1", "::1"] {
        let address = address.parse().unwrap();
        assert_eq!(address::network(address), shares::network(address), "{address}");
    }
}
