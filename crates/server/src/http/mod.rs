//! HTTP itself: accepting connections, bounding them, ending them, and handing each request to the [`Service`].
//!
//! What a request means is decided in `xrpc`, `well_known` and `pages`.

pub mod address;
pub mod body;
mod coding;
mod connection;
pub mod cors;
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
        address::{AddressCounts, is_trusted_proxy},
        body::{RequestBody, ResponseBody},
        connection::{Connections, Places},
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

/// Serves the PDS on the listener until `shutdown` completes, then lets running requests end.
///
/// Returns when every connection is closed, at the latest [`limits::SHUTDOWN_SECS`] after `shutdown`.
pub async fn serve(listener: TcpListener, app: Arc<App>, shutdown: impl Future<Output = ()>) {
    if let Err(error) = newest_time::load(&app).await {
        tracing::error!(%error, "could not read the newest time this server has seen");
    }
    serve_service(listener, Arc::new(PdsService::new(app)), shutdown).await;
}

/// Serves any [`Service`] on the listener until `shutdown` completes, then lets running requests end.
pub async fn serve_service<S: Service>(listener: TcpListener, service: Arc<S>, shutdown: impl Future<Output = ()>) {
    let stopping = CancellationToken::new();
    let aborting = CancellationToken::new();
    let tasks = TaskTracker::new();
    let connections = Connections::new(service, stopping.clone(), aborting.clone(), tasks.clone());
    let slots = Arc::new(Semaphore::new(limits::CONNECTIONS_MAX));
    let addresses = Arc::new(AddressCounts::default());

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
                tracing::warn!(%error, "could not accept a connection");
                time::sleep(Duration::from_millis(limits::ACCEPT_RETRY_MILLIS)).await;
                continue;
            }
        };
        let counted = if is_trusted_proxy(peer.ip()) {
            None
        } else if let Some(counted) = addresses.admit(peer.ip()) {
            Some(counted)
        } else {
            tracing::debug!(%peer, "refused a connection: its address holds too many");
            continue;
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
