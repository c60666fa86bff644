//! `com.atproto.sync.subscribeRepos`: every change of every repository here, as it happens or from a cursor on.
//!
//! Lexicon: `lexicons/com/atproto/sync/subscribeRepos.json`. Spec: <https://atproto.com/specs/event-stream>.

use std::{collections::VecDeque, sync::Arc};

use allod_lexicon::com_atproto::sync::subscribe_repos::SubscribeRepos;
use bytes::Bytes;

use crate::{
    app::App,
    domain::firehose::{
        Cursor, End, Subscription,
        seats::{Form, Origin},
    },
    http::{
        address::is_trusted_proxy,
        websocket::{Code, Farewell, Source},
    },
    xrpc::{SubscriptionResult, XrpcSubscription},
};

/// Opens the stream.
#[expect(clippy::needless_pass_by_value, reason = "the shape of every handler")]
pub fn handler(app: Arc<App>, request: XrpcSubscription<SubscribeRepos>) -> SubscriptionResult<SubscribeRepos> {
    let address = request.context.client;
    let origin = Origin { address, is_exempt: is_trusted_proxy(address) };
    let seat = app.firehose.seat(origin, Form::Frames, app.clock.now_micros())?;
    let cursor = match request.params {
        Ok(params) => params.cursor.map_or(Cursor::Live, Cursor::After),
        Err(message) => Cursor::Invalid(message),
    };
    Ok(request.handshake.accept(Frames(app.firehose.subscribe(seat, cursor))))
}

/// The firehose's messages as they are.
struct Frames(Subscription);

impl Source for Frames {
    async fn next(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Farewell> {
        self.0.next(out).await.map_err(|end| farewell(&end))
    }

    fn too_slow(&self) -> Farewell {
        farewell(&End::ConsumerTooSlow)
    }
}

fn farewell(end: &End) -> Farewell {
    if let End::Failed(error) = end {
        tracing::warn!(%error, "a firehose stream ended");
    }
    let message = end.message();
    match end.name() {
        Some(name) => Farewell { message, code: Code::Policy, reason: name.into() },
        None => Farewell { message, code: Code::Internal, reason: "".into() },
    }
}
