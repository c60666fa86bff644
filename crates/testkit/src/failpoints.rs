//! What happens between the durable steps of a sign-up.

use std::collections::HashMap;

use allod_server::domain::sign_up::failpoint::{Failpoint, Failpoints};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::sync::watch;

/// What happens at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// It goes on.
    Pass,
    /// It fails with this message.
    Fail(String),
    /// It waits for [`ScriptedFailpoints::go_on`].
    Wait,
    /// It never goes on. With [`TestPds::crash`](crate::TestPds::crash) this is a crash at this very place.
    Hang,
}

/// Decides by place; passes everywhere at first.
#[derive(Debug)]
pub struct ScriptedFailpoints {
    script: Mutex<HashMap<Failpoint, At>>,
    hits: watch::Sender<Vec<Failpoint>>,
    waits_ended: watch::Sender<u64>,
}

impl Default for ScriptedFailpoints {
    fn default() -> Self {
        Self { script: Mutex::default(), hits: watch::Sender::new(Vec::new()), waits_ended: watch::Sender::new(0) }
    }
}

impl ScriptedFailpoints {
    /// Decides for a place from now on.
    pub fn set(&self, place: Failpoint, at: At) {
        self.script.lock().insert(place, at);
    }

    /// Ends every wait.
    pub fn go_on(&self) {
        self.waits_ended.send_modify(|count| *count += 1);
    }

    /// Lets everything pass from now on; what waits or hangs stays so.
    pub fn clear(&self) {
        self.script.lock().clear();
    }

    /// Tells which places were reached, in order.
    pub fn hits(&self) -> Vec<Failpoint> {
        self.hits.borrow().clone()
    }

    /// Waits until a place was reached.
    pub async fn reached(&self, place: Failpoint) {
        let mut hits = self.hits.subscribe();
        // The sender is `self`, so the wait can't end for want of one.
        let _ = hits.wait_for(|hits| hits.contains(&place)).await;
    }
}

impl Failpoints for ScriptedFailpoints {
    fn hit(&self, failpoint: Failpoint) -> BoxFuture<'_, Result<(), String>> {
        let mut waits_ended = self.waits_ended.subscribe();
        // Decided before it is told, for whoever is told may change the script at once.
        let at = self.script.lock().get(&failpoint).cloned().unwrap_or(At::Pass);
        self.hits.send_modify(|hits| hits.push(failpoint));
        Box::pin(async move {
            match at {
                At::Pass => Ok(()),
                At::Fail(message) => Err(message),
                At::Wait => {
                    // The sender is `self`, so the wait can't end for want of one.
                    let _ = waits_ended.changed().await;
                    Ok(())
                }
                At::Hang => std::future::pending().await,
            }
        })
    }
}
