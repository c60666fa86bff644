//! JSON that is made to break its reader, at every way in, on stacks of 256 KiB.

use std::io::Write as _;

use allod_base::secret::Secret;
use allod_server::{adapters::site_verify::CaptchaConfig, config::Verification, streams::filter::Filter};
use allod_testkit::{Reply, TestPds};
use data_encoding::BASE64URL_NOPAD;
use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use crate::form_server::FormServer;

const STACK_BYTES: usize = 256 * 1024;

/// Keys that JSON and other libraries use between their own parts.
const PRIVATE_KEYS: [&str; 6] = [
    "$serde_json::private::RawValue",
    "$serde_json::private::Number",
    "$__toml_private_datetime",
    "$__serde_spanned_private_value",
    "$serde_private",
    "__proto__",
];

/// Runs a test whose server has small stacks.
fn on_small_stacks(test: impl Future<Output = ()>) {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    runtime.worker_threads(2).thread_stack_size(STACK_BYTES).enable_all().build().unwrap().block_on(test);
}

/// JSON in the text under a key, again and again, each level in arrays of its own. Escapes as `\u…` grow slowly.
fn nested_in_text(key: &str, levels: usize, arrays: usize) -> String {
    let (open, close) = ("[".repeat(arrays), "]".repeat(arrays));
    (0..levels).fold("1".to_owned(), |inner, _| {
        let escaped = inner.replace('\\', "\\u005c").replace('"', "\\u0022");
        format!("{open}{{\"{key}\":\"{escaped}\"}}{close}")
    })
}

/// Texts of at most `bytes_max` bytes.
fn hostile(bytes_max: usize) -> Vec<String> {
    let mut texts: Vec<String> = ["[", "{\"a\":", "{\"$type\":\"a\",\"record\":[", "\"", "{\"a\":1,", "[1,"]
        .iter()
        .map(|piece| piece.repeat(bytes_max / piece.len()))
        .collect();
    for key in PRIVATE_KEYS {
        texts.extend([1, 2, 8, 56].map(|levels| nested_in_text(key, levels, 60)));
        texts.push(format!("{{\"{key}\":{}1{}}}", "[".repeat(63), "]".repeat(63)));
        let open = format!("{{\"{key}\":");
        texts.push(format!("{}1{}", open.repeat(100), "}".repeat(100)));
        texts.push(json!({key: null}).to_string());
    }
    texts.retain(|text| text.len() <= bytes_max);
    texts
}

fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

fn assert_refused(reply: &Reply, what: &str) {
    assert!(reply.status.is_client_error(), "{}: {} for {what:.200}", reply.status, reply.text());
}

#[test]
fn request_bodies() {
    on_small_stacks(async {
        let pds = TestPds::start().await;
        let alice = pds.account("alice").await;
        for text in hostile(140_000) {
            let record = |value: &str| {
                let did = &alice.did;
                format!(r#"{{"repo":"{did}","collection":"com.example.thing","rkey":"x","record":{value}}}"#)
            };
            for (nsid, body) in [
                ("com.atproto.server.createSession", text.clone()),
                ("com.atproto.server.createAccount", text.clone()),
                ("com.atproto.repo.createRecord", text.clone()),
                ("com.atproto.repo.createRecord", record(&format!("[{text}]"))),
                ("com.atproto.repo.putRecord", record(&format!("{{\"$type\":\"com.example.other\",\"a\":{text}}}"))),
                ("app.bsky.actor.putPreferences", format!("{{\"preferences\":{text}}}")),
            ] {
                let plain = pds.xrpc_post(nsid).bearer(&alice.access).body("application/json", body.clone());
                assert_refused(&plain.send().await, &body);
                let call = pds.xrpc_post(nsid).bearer(&alice.access).header("content-encoding", "gzip");
                assert_refused(&call.body("application/json", gzip(&body)).send().await, &body);
            }
        }
        assert_eq!(
            pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).ok().await["handle"],
            "alice.test"
        );
    });
}

#[test]
fn keys_of_libraries_are_stored_as_they_were_sent() {
    on_small_stacks(async {
        let pds = TestPds::start().await;
        let alice = pds.account("alice").await;
        for key in PRIVATE_KEYS {
            let record = json!({
                "$type": "com.example.thing",
                key: "{\"a\":[1,2]}",
                "numbers": {key: "17"},
                "deep": [{key: {key: ["[[", {"a": null}]}}],
            });
            let body = json!({"repo": alice.did, "collection": "com.example.thing", "record": record});
            let created = pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&body).ok().await;
            let rkey = created["uri"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            let read = pds.xrpc_get("com.atproto.repo.getRecord").param("repo", &alice.did);
            let read = read.param("collection", "com.example.thing").param("rkey", rkey).ok().await;
            assert_eq!(read["value"], record, "{key}");
            assert_eq!(read["cid"], created["cid"]);

            let preferences = json!([{"$type": "app.bsky.actor.defs#other", key: "[1]", "in": {key: "17"}}]);
            let body = json!({ "preferences": preferences });
            let stored = pds.xrpc_post("app.bsky.actor.putPreferences").bearer(&alice.access).json(&body).send().await;
            assert_eq!(stored.status, 200, "{}", stored.text());
            let read = pds.xrpc_get("app.bsky.actor.getPreferences").bearer(&alice.access).ok().await;
            assert_eq!(read["preferences"], preferences, "{key}");
        }
    });
}

#[test]
fn documents_of_other_servers() {
    on_small_stacks(async {
        let pds = TestPds::start().await;
        let resolve = |did: &str| pds.xrpc_get("com.atproto.identity.resolveDid").param("did", did);
        for (number, text) in hostile(60_000).into_iter().enumerate() {
            let host = format!("hostile{number}.example.com");
            let page = format!("https://{host}/.well-known/did.json");
            let did = format!("did:web:{host}");
            pds.network().page(&page, 200, text.clone());
            let status = resolve(&did).error().await.0;
            assert!([400, 502].contains(&status), "{status}: {text:.200}");
            let inside = format!("{{\"id\":\"{did}\",\"verificationMethod\":{text}}}");
            pds.network().page(&page, 200, inside.clone());
            let reply = resolve(&did).send().await;
            assert!([200, 400, 502].contains(&reply.status.as_u16()), "{}: {inside:.200}", reply.status);
        }
        for (number, key) in PRIVATE_KEYS.into_iter().enumerate() {
            let did = format!("did:web:private{number}.example.com");
            let document = json!({"id": did, key: "{\"id\":\"did:web:other.example.com\"}", "service": [{key: "[]"}]});
            let page = format!("https://private{number}.example.com/.well-known/did.json");
            pds.network().page(&page, 200, document.to_string());
            assert_eq!(resolve(&did).ok().await["didDoc"], document);
        }
    });
}

#[test]
fn tokens() {
    on_small_stacks(async {
        let pds = TestPds::start().await;
        let alice = pds.account("alice").await;
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let header = encode(r#"{"typ":"JWT","alg":"ES256K"}"#);
        for text in hostile(2_500) {
            for token in [
                format!("{}.{}.{}", encode(&text), encode(&text), encode("signature")),
                format!("{header}.{}.{}", encode(&text), encode("signature")),
                format!("{}.{}.{}", encode(&format!(r#"{{"alg":"ES256K","crit":{text}}}"#)), encode("{}"), encode("x")),
            ] {
                let get = pds.xrpc_get("com.atproto.server.getSession").bearer(&token).send().await;
                assert_refused(&get, &text);
                let refresh = pds.xrpc_post("com.atproto.server.refreshSession").bearer(&token).send().await;
                assert_refused(&refresh, &text);
                let body = json!({"handle": "bob.test", "did": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"});
                let sign_up = pds.xrpc_post("com.atproto.server.createAccount").bearer(&token).json(&body).send().await;
                assert_refused(&sign_up, &text);
            }
        }
        assert_eq!(
            pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).ok().await["handle"],
            "alice.test"
        );
    });
}

#[test]
fn messages_of_listeners() {
    let update = |text: String| {
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        thread.spawn(move || Filter::update(text.as_bytes()).is_err()).unwrap().join().unwrap()
    };
    for text in hostile(1_000_000) {
        assert!(update(text.clone()), "{text:.200}");
        let inside = format!(r#"{{"type":"options_update","payload":{{"wantedDids":[{text}]}}}}"#);
        assert!(update(inside), "{text:.200}");
    }
}

#[test]
fn answers_of_services() {
    on_small_stacks(async {
        let server = FormServer::start(|posted| (200, posted.fields["response"].clone())).await;
        let captcha = CaptchaConfig {
            url: server.url.join("/siteverify").unwrap(),
            site_key: "site".to_owned(),
            secret_key: Secret::new("secret".to_owned()),
        };
        let required = Verification::Captcha(captcha);
        let pds = TestPds::options().config(move |config| config.sign_up.verification = required.clone()).start().await;
        for text in hostile(10_000) {
            let body = json!({
                "handle": "alice.test", "email": "alice@mail.test", "password": "correct-horse", "verificationCode": text,
            });
            let reply = pds.xrpc_post("com.atproto.server.createAccount").json(&body).send().await;
            assert!([400, 502, 503].contains(&reply.status.as_u16()), "{}: {}", reply.status, reply.text());
        }
    });
}
