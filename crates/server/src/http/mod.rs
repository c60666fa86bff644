//! HTTP itself: accepting connections, bounding them, ending them, and handing each request to the [`Service`].
//!
//! What a request means is decided in `xrpc`, `well_known` and `pages`.

pub mod access;
pub mod address;
pub mod body;
mod coding;
mod connection;
pub mod cors;
mod forwarded;
pub(crate) mod fuzzing;
pub mod host;
mod log_throttle;
mod outgoing;
pub mod reply;
mod service;
pub mod websocket;

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use http::{Request, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    app::App,
    domain::newest_time,
    http::{
        address::{AddressCounts, TrustedProxies},
        body::{RequestBody, ResponseBody},
        connection::{Connections, Places},
        log_throttle::LogThrottle,
    },
    limits,
};

pub use service::{PdsService, RequestContext, RequestId};

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers one request that came from `peer`.
    fn call(
        &self,
        peer: SocketAddr,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<ResponseBody>> + Send;
}

/// What a listener takes.
#[derive(Debug, Clone)]
pub struct Admission {
    /// How many connections are held at once; further ones wait in the kernel's backlog.
    pub connections_max: usize,
    /// Whose connections are not counted by address.
    pub proxies: TrustedProxies,
}

impl Default for Admission {
    fn default() -> Self {
        Self { connections_max: limits::CONNECTIONS_MAX, proxies: TrustedProxies::default() }
    }
}

/// Serves the PDS on the listener until `shutdown` completes, then lets running requests end.
///
/// Returns when every connection is closed, at the latest [`limits::SHUTDOWN_SECS`] after `shutdown`.
pub async fn serve(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()>) {
    if let Err(error) = newest_time::load(&app).await {
        tracing::error!(%error, "could not read the newest time this server has seen");
    }
    let admission =
        Admission { connections_max: app.config.connections_max, proxies: app.config.trusted_proxies.clone() };
    serve_service(listener, Arc::new(PdsService::new(app)), admission, shutdown).await;
}

/// Serves any [`Service`] on the listener until `shutdown` completes, then lets running requests end.
pub async fn serve_service<S: Service>(
    listener: TcpListener,
    service: Arc<S>,
    admission: Admission,
    shutdown: impl Future<Output = ()>,
) {
    let stopping = CancellationToken::new();
    let aborting = CancellationToken::new();
    let tasks = TaskTracker::new();
    let connections = Connections::new(service, stopping.clone(), aborting.clone(), tasks.clone());
    let slots = Arc::new(Semaphore::new(admission.connections_max));
    let addresses = Arc::new(AddressCounts::default());

    // For want of file descriptors, for instance.
    let refused = LogThrottle::every_secs(limits::ACCEPT_WARNING_SECS);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, peer, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                if let Some(failures) = refused.count() {
                    tracing::warn!(%error, failures, "connections can't be accepted");
                }
                time::sleep(Duration::from_millis(limits::ACCEPT_RETRY_MILLIS)).await;
                continue;
            }
        };
        let counted = if admission.proxies.trusts(peer.ip()) {
            None
        } else {
            match addresses.admit(peer.ip()) {
                Ok(counted) => Some(counted),
                Err(refusal) => {
                    if refusal.is_first {
                        access::connections_refused(peer.ip());
                    }
                    continue;
                }
            }
        };
        tasks.spawn(connections.run(stream, peer, Places { _slot: slot, _counted: counted }));
    }

    drop(listener);
    tasks.close();
    stopping.cancel();
    if time::timeout(Duration::from_secs(limits::SHUTDOWN_SECS), tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "ending connections that did not close in time");
        aborting.cancel();
        tasks.wait().await;
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, peer, slot))
}

#[cfg(test)]
mod tests;
