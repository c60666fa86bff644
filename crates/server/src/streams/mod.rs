//! The event streams as clients get them: encodings of events, and the endpoint of Jetstream's form.

use std::sync::Arc;

use crate::domain::firehose::{Channel, Firehose, seats::Form};

pub mod filter;
pub mod frames;
pub mod jetstream;
pub mod json;

/// One channel for each encoding.
pub struct Streams {
    /// For `com.atproto.sync.subscribeRepos`.
    pub frames: Arc<Channel<frames::Batch>>,
    /// For `/subscribe`.
    pub json: Arc<Channel<json::Batch>>,
}

impl Streams {
    /// Makes channels that encode the events of this server.
    pub fn new(firehose: &Arc<Firehose>) -> Self {
        Self { frames: Channel::new(firehose, Form::Frames), json: Channel::new(firehose, Form::Json) }
    }

    /// Fills the channels with new events while they have subscribers.
    pub async fn run(&self) {
        tokio::join!(self.frames.run(), self.json.run());
    }
}
