//! The client against directories that are down, slow, broken or far from the truth.

use std::time::Duration;

use allod_atproto::{Did, plc::Operation};
use allod_plc::client::{
    ANSWER_BYTES_MAX, AUDIT_LOG_BYTES_MAX, MESSAGE_CHARS_MAX, PlcClient, ReadError, SubmitError, Timeouts,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};
use url::Url;

use crate::history::Owner;
use crate::running::http_client;

/// What the scripted directory does with a request that it has read whole.
#[derive(Clone)]
enum Script {
    Answer(String),
    Drop,
    Hang,
    /// Sends the start of an answer and no more.
    Stall(&'static str),
}

#[tokio::test]
async fn a_directory_that_is_down_took_nothing() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url: Url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    drop(listener);
    let client = client(url);
    let (did, genesis) = Owner::new("alice").genesis();
    let answer = client.submit(&did, &genesis).await;
    assert!(matches!(&answer, Err(SubmitError::Unreachable { .. })), "{answer:?}");
    let answer = client.document(&did).await;
    assert!(matches!(&answer, Err(ReadError::Unavailable { .. })), "{answer:?}");
    let nowhere = self::client("http://nowhere.invalid".parse().unwrap());
    let answer = nowhere.submit(&did, &genesis).await;
    assert!(matches!(&answer, Err(SubmitError::Unreachable { .. })), "{answer:?}");
}

#[tokio::test]
async fn an_answer_that_never_comes_is_unknown() {
    for script in [Script::Drop, Script::Hang, Script::Stall("HTTP/1.1 200"), Script::Answer("nonsense\r\n\r\n".into())]
    {
        let (client, _server) = scripted(script).await;
        let (did, genesis) = Owner::new("alice").genesis();
        let answer = client.submit(&did, &genesis).await;
        assert!(matches!(&answer, Err(SubmitError::Unknown { .. })), "{answer:?}");
        let answer = client.last_operation(&did).await;
        assert!(matches!(&answer, Err(ReadError::Unavailable { .. })), "{answer:?}");
    }
}

#[tokio::test]
async fn the_status_decides() {
    let told = r#"{"message":"Operations not correctly ordered"}"#;
    let refused = |status, message: &str| Err(SubmitError::Refused { status, message: message.to_owned() });
    assert_eq!(submit(&http(200, "OK")).await, Ok(()));
    assert_eq!(submit(&http(204, "")).await, Ok(()));
    assert_eq!(submit(&http(400, told)).await, refused(400, "Operations not correctly ordered"));
    assert_eq!(submit(&http(409, told)).await, refused(409, "Operations not correctly ordered"));
    assert_eq!(submit(&http(404, "<html>")).await, refused(404, "404 Not Found"));
    assert_eq!(submit(&http(413, r#"{"message":7}"#)).await, refused(413, "413 Payload Too Large"));
    for status in [500, 502, 503, 504, 408, 302, 307] {
        let answer = submit(&http(status, told)).await;
        assert!(matches!(&answer, Err(SubmitError::Unknown { .. })), "{status}: {answer:?}");
    }
    let answer = submit(&http(429, told)).await;
    assert!(matches!(&answer, Err(SubmitError::Unreachable { .. })), "{answer:?}");
    // A refusal whose text breaks off is a refusal.
    let broken = "HTTP/1.1 400 Bad Request\r\ncontent-length: 100\r\nconnection: close\r\n\r\n{\"mess";
    assert_eq!(submit(broken).await, refused(400, "400 Bad Request"));
    let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(5000));
    assert_eq!(submit(&http(400, &long)).await, refused(400, &"x".repeat(MESSAGE_CHARS_MAX)));
    let endless = http(400, &"x".repeat(ANSWER_BYTES_MAX + 1));
    assert_eq!(submit(&endless).await, refused(400, "400 Bad Request"));
}

#[tokio::test]
async fn answers_are_bounded_and_checked() {
    let (did, genesis) = Owner::new("alice").genesis();
    for status in [404, 410] {
        let (client, _server) = scripted(Script::Answer(http(status, ""))).await;
        assert_eq!(client.document(&did).await, Ok(None));
        assert_eq!(client.data(&did).await, Ok(None));
        assert_eq!(client.last_operation(&did).await, Ok(None));
        assert_eq!(client.audit_log(&did).await, Ok(None));
    }
    for status in [400, 403] {
        let (client, _server) = scripted(Script::Answer(http(status, "{}"))).await;
        assert_eq!(client.audit_log(&did).await, Err(ReadError::Refused { status }));
    }
    for status in [500, 429, 408, 302] {
        let (client, _server) = scripted(Script::Answer(http(status, "{}"))).await;
        let answer = client.audit_log(&did).await;
        assert!(matches!(&answer, Err(ReadError::Unavailable { .. })), "{status}: {answer:?}");
    }
    let deep = "[".repeat(10_000);
    for body in ["", "{", "<html>", "[1]", r#"{"type":"plc_operation"}"#, deep.as_str()] {
        let (client, _server) = scripted(Script::Answer(http(200, body))).await;
        let last = client.last_operation(&did).await;
        assert!(matches!(&last, Err(ReadError::Invalid { .. })), "{body}: {last:?}");
        let log = client.audit_log(&did).await;
        assert!(matches!(&log, Err(ReadError::Invalid { .. })), "{body}: {log:?}");
    }
    let (client, _server) = scripted(Script::Answer(http(200, &format!("\"{}\"", "x".repeat(ANSWER_BYTES_MAX))))).await;
    assert!(matches!(client.document(&did).await, Err(ReadError::Invalid { .. })));
    let (client, _server) = scripted(Script::Answer(http(200, &" ".repeat(AUDIT_LOG_BYTES_MAX + 1)))).await;
    assert!(matches!(client.audit_log(&did).await, Err(ReadError::Invalid { .. })));
    let (client, _server) = scripted(Script::Answer(http(200, &genesis.to_json().to_string()))).await;
    assert_eq!(client.last_operation(&did).await, Ok(Some(genesis)));
}

#[tokio::test]
async fn the_did_is_one_segment_of_the_path() {
    let (did, genesis) = Owner::new("alice").genesis();
    let cases = [
        ("", did.as_str(), format!("/{did}/log/audit")),
        ("/", did.as_str(), format!("/{did}/log/audit")),
        ("/plc/v1", did.as_str(), format!("/plc/v1/{did}/log/audit")),
        ("/plc/v1/", did.as_str(), format!("/plc/v1/{did}/log/audit")),
        ("", "did:web:localhost%3A2583", "/did:web:localhost%253A2583/log/audit".to_owned()),
        ("", "did:web:..%2F..", "/did:web:..%252F../log/audit".to_owned()),
    ];
    for (base, did, expected) in cases {
        let (client, server) = scripted(Script::Answer(http(404, ""))).await;
        let client = self::client(client.base_url().join(base).unwrap());
        assert_eq!(client.audit_log(&Did::parse(did).unwrap()).await, Ok(None));
        assert_eq!(server.await.unwrap().first_line, format!("GET {expected} HTTP/1.1"), "{base} {did}");
    }
    let (client, server) = scripted(Script::Answer(http(200, ""))).await;
    client.submit(&did, &genesis).await.unwrap();
    let request = server.await.unwrap();
    assert_eq!(request.first_line, format!("POST /{did} HTTP/1.1"));
    assert_eq!(request.body, genesis.to_json().to_string().into_bytes());
}

/// A request as the scripted directory read it.
struct Seen {
    first_line: String,
    body: Vec<u8>,
}

#[test]
fn answers_that_are_made_to_break_their_reader_are_not_valid() {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(1).thread_stack_size(256 * 1024).enable_all().build().unwrap();
    let mut texts = vec!["[".repeat(60_000), "{\"a\":".repeat(10_000), "[{\"did\":[".repeat(6_000)];
    for key in ["$serde_json::private::RawValue", "$serde_json::private::Number", "$__toml_private_datetime"] {
        let in_text = (0..40).fold("1".to_owned(), |inner, _| {
            let escaped = inner.replace('\\', "\\u005c").replace('"', "\\u0022");
            format!("{}{{\"{key}\":\"{escaped}\"}}{}", "[".repeat(60), "]".repeat(60))
        });
        texts.push(format!("{{\"{key}\":").repeat(1_000));
        texts.push(in_text);
    }
    for text in texts {
        let length = text.len();
        let script =
            |status: &str| Script::Answer(format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{text}"));
        let (ok, refused) = (script("200 OK"), script("400 Bad Request"));
        let asking = async move {
            let (did, genesis) = Owner::new("alice").genesis();
            let (client, _server) = scripted(ok).await;
            let document = client.document(&did).await;
            // What is JSON is a document for the client; whose it is, its reader finds out.
            assert!(matches!(&document, Err(ReadError::Invalid { .. }) | Ok(Some(_))), "{document:?}");
            let last = client.last_operation(&did).await;
            assert!(matches!(&last, Err(ReadError::Invalid { .. })), "{last:?}");
            let log = client.audit_log(&did).await;
            assert!(matches!(&log, Err(ReadError::Invalid { .. })), "{log:?}");
            let (client, _server) = scripted(refused).await;
            let submitted = client.submit(&did, &genesis).await;
            assert!(matches!(&submitted, Err(SubmitError::Refused { status: 400, .. })), "{submitted:?}");
        };
        runtime.block_on(async { tokio::spawn(asking).await.unwrap() });
    }
}

/// Starts a directory that does the same with every request; its task ends with the first one.
async fn scripted(script: Script) -> (PlcClient, JoinHandle<Seen>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let again = script.clone();
        let seen = answer(stream, script).await;
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, again.clone()));
            }
        });
        seen
    });
    (client(url), server)
}

async fn answer(mut stream: TcpStream, script: Script) -> Seen {
    let seen = read_request(&mut stream).await;
    let (text, hangs) = match script {
        Script::Answer(text) => (text, false),
        Script::Drop => (String::new(), false),
        Script::Hang => (String::new(), true),
        Script::Stall(text) => (text.to_owned(), true),
    };
    // The client may have had enough of it already.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.flush().await;
    if hangs {
        tokio::spawn(async move {
            let mut rest = [0];
            let _ = stream.read(&mut rest).await;
        });
    }
    seen
}

async fn read_request(stream: &mut TcpStream) -> Seen {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if let Some((head, _)) = text.split_once("\r\n\r\n") {
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ").map(str::to_owned));
            let length: usize = length.map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= head.len() + 4 + length {
                let first_line = head.lines().next().unwrap().to_owned();
                return Seen { first_line, body: bytes[head.len() + 4..].to_vec() };
            }
        }
        if stream.read_buf(&mut bytes).await.unwrap() == 0 {
            return Seen { first_line: String::new(), body: bytes };
        }
    }
}

async fn submit(answer: &str) -> Result<(), SubmitError> {
    let (client, _server) = scripted(Script::Answer(answer.to_owned())).await;
    let (did, genesis): (Did, Operation) = Owner::new("alice").genesis();
    client.submit(&did, &genesis).await
}

fn http(status: u16, body: &str) -> String {
    format!(
        "HTTP/1.1 {status} Told So\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn client(url: Url) -> PlcClient {
    let timeouts = Timeouts { submit: Duration::from_millis(400), read: Duration::from_millis(400) };
    PlcClient::with_timeouts(url, http_client(), timeouts)
}
