//! `com.atproto.sync.subscribeRepos`: every change of every repository here, as it happens or from a cursor on.
//!
//! Lexicon: `lexicons/com/atproto/sync/subscribeRepos.json`. Spec: <https://atproto.com/specs/event-stream>.

use std::{collections::VecDeque, sync::Arc};

use allod_atproto::frame;
use allod_http::websocket::{
    Code, Farewell, Source,
    frame::{self as websocket, Opcode},
};
use allod_lexicon::com_atproto::sync::subscribe_repos::SubscribeRepos;
use bytes::Bytes;

use crate::{
    app::App,
    domain::firehose::{Cursor, End, Step, Subscription, seats::Origin},
    streams::frames::Batch,
    xrpc::{SubscriptionResult, XrpcSubscription},
};

/// Opens the stream.
#[expect(clippy::needless_pass_by_value, reason = "the shape of every handler")]
pub fn handler(app: Arc<App>, request: XrpcSubscription<SubscribeRepos>) -> SubscriptionResult<SubscribeRepos> {
    let origin = Origin { address: request.context.client, is_exempt: !request.context.is_counted };
    let cursor = match request.params {
        Ok(params) => params.cursor.map_or(Cursor::Live, Cursor::After),
        Err(message) => Cursor::Invalid(message),
    };
    let events = app.streams.frames.subscribe(origin, cursor, app.clock.now_micros())?;
    Ok(request.handshake.accept(Frames(events)))
}

/// The firehose's messages as they are.
struct Frames(Subscription<Batch>);

impl Source for Frames {
    async fn next(&mut self, out: &mut VecDeque<Bytes>) -> Result<(), Farewell> {
        match self.0.next(|batch, after| out.push_back(batch.after(after))).await {
            Ok(Step::Given) => Ok(()),
            Ok(Step::Outdated) => {
                out.push_back(outdated());
                Ok(())
            }
            Err(end) => Err(farewell(&end)),
        }
    }

    fn too_slow(&self) -> Farewell {
        farewell(&End::ConsumerTooSlow)
    }
}

/// What a consumer is told whose cursor is older than everything that is kept.
fn outdated() -> Bytes {
    let info = frame::Info {
        name: "OutdatedCursor".to_owned(),
        message: Some("Requested cursor exceeded limit. Possibly missing events".to_owned()),
    };
    websocket::message(Opcode::Binary, &frame::info(&info))
}

fn farewell(end: &End) -> Farewell {
    let Some(name) = end.name() else {
        tracing::warn!(error = %end, "a firehose stream ended");
        return Farewell { message: None, code: Code::Internal, reason: "".into() };
    };
    let error = frame::Error { error: name.to_owned(), message: Some(end.to_string()) };
    let message = Some(websocket::message(Opcode::Binary, &frame::error(&error)));
    Farewell { message, code: Code::Policy, reason: name.into() }
}
