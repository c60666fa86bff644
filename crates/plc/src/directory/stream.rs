//! `/export/stream`: every operation as it is taken, one JSON message each, over a WebSocket.
//!
//! A stream holds no queue: it reads pages of the log behind its own place, and the log waits for nobody. A consumer
//! that does not take a message in time is let go.

use std::time::Duration;

use allod_store::{Seq, tables::plc};
use axum::{
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
    },
    response::Response,
};
use http::{StatusCode, Uri};
use tokio::time::timeout;

use super::{
    Directory, MICROS_PER_MILLI, ReadError,
    export::{invalid, parameter, sequenced_line},
    from_store,
    http::{Failure, Service},
};
use crate::limits::{
    STREAM_BACKFILL_SECS_MAX, STREAM_CLOSE_SECS_MAX, STREAM_MESSAGE_BYTES_MAX, STREAM_PAGE_MAX, STREAM_PING_SECS,
};

const CLOSE_GOING_AWAY: u16 = 1001;
const CLOSE_POLICY: u16 = 1008;
const CLOSE_INTERNAL: u16 = 1011;

/// How a stream ends.
enum End {
    /// The consumer went away.
    Gone,
    /// The cursor is above the newest number.
    FutureCursor,
    /// The cursor lies further back than streams go.
    OutdatedCursor,
    /// A message did not leave in time.
    ConsumerTooSlow,
    /// The service ends.
    Stopping,
    /// The store failed.
    Failed(ReadError),
}

impl End {
    fn close_frame(&self) -> Option<(u16, &'static str)> {
        match self {
            Self::Gone => None,
            Self::FutureCursor => Some((CLOSE_POLICY, "FutureCursor")),
            Self::OutdatedCursor => Some((CLOSE_POLICY, "OutdatedCursor")),
            Self::ConsumerTooSlow => Some((CLOSE_POLICY, "ConsumerTooSlow")),
            Self::Stopping => Some((CLOSE_GOING_AWAY, "")),
            Self::Failed(_) => Some((CLOSE_INTERNAL, "")),
        }
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        Self::Failed(error)
    }
}

pub(super) async fn stream(
    State(service): State<Service>,
    uri: Uri,
    upgrade: Result<WebSocketUpgrade, axum::extract::ws::rejection::WebSocketUpgradeRejection>,
) -> Result<Response, Failure> {
    let cursor: Option<Seq> = match parameter(&uri, "cursor") {
        None => None,
        Some(text) => Some(text.parse().ok().filter(|cursor| *cursor >= 0).ok_or_else(|| invalid("cursor"))?),
    };
    let upgrade = upgrade.map_err(|error| Failure::new(error.status(), error.body_text()))?;
    let slot = service.directory.shared.streams.clone().try_acquire_owned();
    let slot = slot.map_err(|_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "Too many streams"))?;
    let upgrade = upgrade.max_message_size(STREAM_MESSAGE_BYTES_MAX).max_frame_size(STREAM_MESSAGE_BYTES_MAX);
    Ok(upgrade.on_upgrade(async move |mut socket| {
        let end = follow(&service, cursor, &mut socket).await;
        if let End::Failed(error) = &end {
            tracing::error!(%error, "an export stream failed");
        }
        if let Some((code, reason)) = end.close_frame() {
            let frame = CloseFrame { code, reason: Utf8Bytes::from_static(reason) };
            close(&mut socket, frame).await;
        }
        drop(slot);
    }))
}

/// Sends what is behind the cursor, then what is new, until the stream ends.
async fn follow(service: &Service, cursor: Option<Seq>, socket: &mut WebSocket) -> End {
    match follow_log(service, cursor, socket).await {
        Ok(never) => match never {},
        Err(end) => end,
    }
}

async fn follow_log(
    service: &Service,
    cursor: Option<Seq>,
    socket: &mut WebSocket,
) -> Result<std::convert::Infallible, End> {
    let Directory { shared } = &service.directory;
    let mut taken = shared.taken.subscribe();
    let mut stop = service.stop.clone();
    let mut place = start(&service.directory, cursor).await?;
    loop {
        // Seen before the page is read: what is taken meanwhile wakes the wait below.
        taken.borrow_and_update();
        let page = plc::after_seq(&*shared.db, place, STREAM_PAGE_MAX).await?;
        for row in &page {
            send(socket, Message::text(sequenced_line(row)?), shared.stream_limits.send_time_max).await?;
            place = row.seq;
        }
        if *stop.borrow() {
            return Err(End::Stopping);
        }
        if !page.is_empty() {
            continue;
        }
        tokio::select! {
            _ = taken.changed() => {}
            _ = stop.changed() => return Err(End::Stopping),
            received = socket.recv() => match received {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(End::Gone),
                Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => {}
            },
            () = tokio::time::sleep(Duration::from_secs(STREAM_PING_SECS)) => {
                send(socket, Message::Ping(bytes::Bytes::new()), shared.stream_limits.send_time_max).await?;
            }
        }
    }
}

/// Where the stream starts: behind the cursor, or behind everything.
async fn start(directory: &Directory, cursor: Option<Seq>) -> Result<Seq, End> {
    let shared = &directory.shared;
    let newest = plc::newest_seq(&*shared.db).await?;
    let Some(cursor) = cursor else { return Ok(newest) };
    if cursor > newest {
        return Err(End::FutureCursor);
    }
    let next = plc::after_seq(&*shared.db, cursor, 1).await?;
    let now_millis = shared.clock.now_micros() / MICROS_PER_MILLI;
    let oldest_millis = now_millis.saturating_sub(STREAM_BACKFILL_SECS_MAX * 1000);
    if next.first().is_some_and(|row| from_store(row.created_at) < oldest_millis) {
        return Err(End::OutdatedCursor);
    }
    Ok(cursor)
}

async fn send(socket: &mut WebSocket, message: Message, time_max: Duration) -> Result<(), End> {
    match timeout(time_max, socket.send(message)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::ConsumerTooSlow),
    }
}

/// Tells the consumer why, and waits a little for it to agree, so that the reason is not lost with the connection.
async fn close(socket: &mut WebSocket, frame: CloseFrame) {
    let said = async {
        if socket.send(Message::Close(Some(frame))).await.is_ok() {
            while let Some(Ok(_)) = socket.recv().await {}
        }
    };
    let _ = timeout(Duration::from_secs(STREAM_CLOSE_SECS_MAX), said).await;
}
