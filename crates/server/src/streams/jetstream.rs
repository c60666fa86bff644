//! `/subscribe`: the firehose as JSON, compatible with Jetstream; off unless the operator turns it on.
//!
//! Consumers of <https://github.com/bluesky-social/jetstream> read it unchanged, but for compression, which needs
//! Jetstream's own dictionary and is refused.

use std::{collections::VecDeque, sync::Arc};

use allod_http::{
    body::ResponseBody,
    websocket::{Code, Farewell, Handshake, Source},
};
use bytes::Bytes;
use http::{Response, request::Parts};
use tokio::sync::Notify;
use url::form_urlencoded;

use super::{
    filter::{Filter, FilterError, WANTED_COLLECTIONS_MAX, WANTED_DIDS_MAX},
    json::Batch,
};
use crate::{
    app::App,
    domain::firehose::{Cursor, End, Step, Subscription, seats::Origin},
    service::RequestContext,
    xrpc::error::{XrpcError, respond},
};

/// How many parameters the query may have.
const PARAMS_MAX: usize = WANTED_COLLECTIONS_MAX + WANTED_DIDS_MAX + 10;

/// Opens the stream.
pub fn answer(app: &App, mut parts: Parts, context: RequestContext) -> Response<ResponseBody> {
    let opened = Handshake::read(&mut parts, "").map_err(XrpcError::from).and_then(|handshake| {
        let asked = Asked::read(parts.uri.query().unwrap_or_default()).map_err(XrpcError::invalid_request)?;
        let compressed = parts.headers.get("socket-encoding").is_some_and(|value| value == "zstd");
        if asked.is_compressed || compressed {
            return Err(XrpcError::invalid_request("compression is not offered here: leave compress out"));
        }
        let origin = Origin { address: context.client, is_exempt: !context.is_counted };
        let events = app.streams.json.subscribe(origin, asked.cursor, app.clock.now_micros())?;
        let hello = Arc::new(Notify::new());
        Ok(handshake.accept(Messages { events, filter: asked.filter, waits_for_hello: asked.waits_for_hello, hello }))
    });
    opened.unwrap_or_else(|error: XrpcError| respond(error, "", context.id))
}

/// What a client asks for.
struct Asked {
    filter: Filter,
    cursor: Cursor,
    is_compressed: bool,
    waits_for_hello: bool,
}

impl Asked {
    fn read(query: &str) -> Result<Self, String> {
        let (mut collections, mut dids, mut bytes_max) = (Vec::new(), Vec::new(), 0);
        let (mut cursor, mut is_compressed, mut waits_for_hello) = (Cursor::Live, false, false);
        for (count, (key, value)) in form_urlencoded::parse(query.as_bytes()).enumerate() {
            if count == PARAMS_MAX {
                return Err(format!("at most {PARAMS_MAX} parameters are taken"));
            }
            let number = || value.parse::<i64>().map_err(|_| format!("{key} must be a number"));
            match key.as_ref() {
                "wantedCollections" if !value.is_empty() => collections.push(value.into_owned()),
                "wantedDids" if !value.is_empty() => dids.push(value.into_owned()),
                "maxMessageSizeBytes" if !value.is_empty() => bytes_max = number()?,
                "cursor" if !value.is_empty() => cursor = Cursor::Since(number()?),
                "compress" => is_compressed = value == "true",
                "requireHello" => waits_for_hello = value == "true",
                _ => {}
            }
        }
        let filter = Filter::new(&collections, &dids, bytes_max).map_err(|error| error.to_string())?;
        Ok(Self { filter, cursor, is_compressed, waits_for_hello })
    }
}

/// The messages that a client wants.
struct Messages {
    events: Subscription<Batch>,
    filter: Filter,
    /// Nothing is sent before the client's first message.
    waits_for_hello: bool,
    hello: Arc<Notify>,
}

impl Source for Messages {
    async fn next(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Farewell> {
        if self.waits_for_hello {
            // Waits until it is dropped: what comes with the client's message begins anew.
            self.hello.notified().await;
        }
        while out.is_empty() {
            let Self { events, filter, .. } = self;
            let wanted = events.next(|batch, after| {
                out.extend(batch.after(after).filter(|item| filter.lets_through(item)).map(|item| item.wire.clone()));
            });
            match wanted.await {
                Ok(Step::Given | Step::Outdated) => {}
                Err(end) => return Err(farewell(&end)),
            }
        }
        Ok(())
    }

    fn receive(&mut self, text: &[u8]) -> Result<(), Farewell> {
        self.filter = Filter::update(text).map_err(|error: FilterError| Farewell {
            message: None,
            code: Code::Policy,
            reason: error.to_string().chars().take(REASON_CHARS_MAX).collect::<String>().into(),
        })?;
        self.waits_for_hello = false;
        self.hello.notify_one();
        Ok(())
    }

    fn too_slow(&self) -> Farewell {
        farewell(&End::ConsumerTooSlow)
    }
}

/// How much of a reason a close frame holds for certain, in characters.
const REASON_CHARS_MAX: usize = 30;

fn farewell(end: &End) -> Farewell {
    if let Some(name) = end.name() {
        return Farewell { message: None, code: Code::Policy, reason: name.into() };
    }
    tracing::warn!(error = %end, "a stream of JSON ended");
    Farewell { message: None, code: Code::Internal, reason: "".into() }
}
