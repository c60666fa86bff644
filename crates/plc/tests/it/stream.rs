//! `/export/stream`: from now, from a cursor, and every way it ends.

use std::time::Duration;

use allod_atproto::{Cid, Did};
use allod_plc::limits::StreamLimits;
use allod_store::{
    Txn,
    tables::plc::{self, NewPlcOperation},
};
use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message},
};

use crate::history::Owner;
use crate::running::{Running, message, read_json};

const DAY_MILLIS: i64 = 24 * 3_600_000;

#[tokio::test]
async fn tells_what_is_new() {
    let plc = Running::start().await;
    add(&plc, "before").await;
    let mut stream = connect(&plc, "").await;
    for n in 0..3 {
        let did = add(&plc, &format!("user{n}")).await;
        let told = next(&mut stream).await;
        assert_eq!((told["seq"].as_i64(), told["did"].as_str()), (Some(n + 2), Some(did.as_str())));
        assert_eq!(told["type"], "sequenced_op");
    }
    let ((), end) = tokio::join!(plc.stop(), closed(&mut stream));
    assert_eq!(end, (1001, String::new()));
}

#[tokio::test]
async fn goes_on_from_a_cursor() {
    let plc = Running::start().await;
    for n in 0..5 {
        add(&plc, &format!("user{n}")).await;
    }
    let mut stream = connect(&plc, "?cursor=2").await;
    let mut at_newest = connect(&plc, "?cursor=5").await;
    for seq in 3..=5 {
        assert_eq!(next(&mut stream).await["seq"], seq);
    }
    add(&plc, "last").await;
    assert_eq!(next(&mut stream).await["seq"], 6);
    assert_eq!(next(&mut at_newest).await["seq"], 6);
    let (_, _, exported) = plc.get("export?after=5").await;
    let mut again = connect(&plc, "?cursor=5").await;
    assert_eq!(next(&mut again).await, read_json(&exported));
}

#[tokio::test]
async fn refuses_cursors_it_does_not_have() {
    let plc = Running::start().await;
    assert_eq!(closed(&mut connect(&plc, "?cursor=1").await).await, (1008, "FutureCursor".to_owned()));
    add(&plc, "old").await;
    plc.advance_millis(7 * DAY_MILLIS);
    assert_eq!(next(&mut connect(&plc, "?cursor=0").await).await["seq"], 1);
    plc.advance_millis(1);
    assert_eq!(closed(&mut connect(&plc, "?cursor=0").await).await, (1008, "OutdatedCursor".to_owned()));
    // With the old one seen there is nothing too old to send.
    let mut stream = connect(&plc, "?cursor=1").await;
    add(&plc, "new").await;
    assert_eq!(next(&mut stream).await["seq"], 2);
    for cursor in ["-1", "x", "99999999999999999999"] {
        let (status, _, body) = plc.get(&format!("export/stream?cursor={cursor}")).await;
        assert_eq!((status, message(&body).as_str()), (400, "Invalid cursor parameter"), "{cursor}");
    }
    let (status, _, body) = plc.get("export/stream").await;
    assert!((400..500).contains(&status) && !message(&body).is_empty(), "{status}: {body}");
}

#[tokio::test]
async fn lets_a_slow_consumer_go() {
    const ROWS: usize = 4000;
    let limits = StreamLimits { send_time_max: Duration::from_millis(300), ..StreamLimits::default() };
    let plc = Running::start_with(|db| db, limits).await;
    let mut txn = Txn::new();
    for n in 0..ROWS {
        let new = NewPlcOperation {
            did: Did::parse(&format!("did:plc:{n}")).unwrap(),
            cid: Cid::for_cbor(&n.to_be_bytes()),
            operation: serde_json::json!({ "filler": "x".repeat(4000) }).to_string(),
            created_at: 1_780_000_000_000_000,
            nullifies: Vec::new(),
        };
        plc::append(&mut txn, None, &new);
    }
    plc.db.commit(txn).await.unwrap();
    // Reads nothing for longer than a message may take, then everything that is still under way.
    let mut slow = connect(&plc, "?cursor=0").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut read = 0;
    let end = loop {
        match slow.next().await {
            Some(Ok(Message::Text(_))) => read += 1,
            end => break end,
        }
    };
    assert!(read < ROWS, "all {read} had room on the way: the consumer was never slow");
    match end {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(frame.reason.as_str(), "ConsumerTooSlow"),
        other => panic!("{other:?}"),
    }
    // One that reads gets them all.
    let mut quick = connect(&plc, "?cursor=0").await;
    for seq in 1..=ROWS {
        assert_eq!(next(&mut quick).await["seq"], seq);
    }
}

async fn add(plc: &Running, name: &str) -> Did {
    let (did, genesis) = Owner::new(name).genesis();
    plc.client.submit(&did, &genesis).await.unwrap();
    did
}

/// Connects with a small receive buffer, so that little is under way.
async fn connect(plc: &Running, query: &str) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    let address = plc.url.socket_addrs(|| None).unwrap()[0];
    let connection = socket.connect(address).await.unwrap();
    let url = format!("ws://{address}/export/stream{query}");
    client_async(url, connection).await.unwrap().0
}

async fn next(stream: &mut WebSocketStream<TcpStream>) -> Value {
    match within(stream.next()).await {
        Some(Ok(Message::Text(text))) => read_json(text.as_bytes()),
        other => panic!("{other:?}"),
    }
}

async fn closed(stream: &mut WebSocketStream<TcpStream>) -> (u16, String) {
    match within(stream.next()).await {
        Some(Ok(Message::Close(Some(frame)))) => {
            let after = within(stream.next()).await;
            assert!(matches!(after, None | Some(Err(Error::ConnectionClosed | Error::Protocol(_)))), "{after:?}");
            (frame.code.into(), frame.reason.to_string())
        }
        other => panic!("{other:?}"),
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("an answer in time")
}
