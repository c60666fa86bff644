//! Inbound HTTP: accepts connections on any number of listeners, bounds and ends them, and hands each request to the
//! [`Service`]. It knows nothing of what requests mean.

pub mod address;
pub mod body;
pub mod coding;
mod connection;
pub mod forwarded;
pub mod host;
pub mod limits;
pub mod log_throttle;
mod outgoing;
pub mod websocket;

use std::{
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use http::{Request, Response};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    address::{AddressCounts, TrustedProxies},
    body::{RequestBody, ResponseBody},
    connection::{Connections, Permits},
    log_throttle::LogThrottle,
};

/// Answers requests.
pub trait Service: Send + Sync + 'static {
    /// Answers one request that came from `peer`.
    fn call(
        &self,
        peer: SocketAddr,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Response<ResponseBody>> + Send;

    /// Notes that an address holds as many connections as it may; called once until it has closed them all.
    fn connections_refused(&self, client: IpAddr) {
        tracing::debug!(%client, "too many connections from one address");
    }
}

/// Accepts connections: a socket that listens, or what puts TLS around one.
pub trait Listener: Send {
    /// A connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Waits for the next connection; gives it and its peer's address.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, SocketAddr)>> + Send;
}

impl Listener for TcpListener {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (stream, peer) = Self::accept(self).await?;
        stream.set_nodelay(true)?;
        Ok((stream, peer))
    }
}

/// What a listener takes.
#[derive(Debug, Clone)]
pub struct Admission {
    /// How many connections are served at once; further ones wait: one at each listener, the others in its backlog.
    pub connections_max: usize,
    /// Whose connections are not counted by address.
    pub proxies: TrustedProxies,
}

impl Default for Admission {
    fn default() -> Self {
        Self { connections_max: limits::CONNECTIONS_MAX, proxies: TrustedProxies::default() }
    }
}

/// Serves requests on any number of listeners, within one set of bounds.
pub struct Server<S> {
    connections: Connections<S>,
    service: Arc<S>,
    admission: Admission,
    slots: Arc<Semaphore>,
    addresses: Arc<AddressCounts>,
    stopping: CancellationToken,
    aborting: CancellationToken,
    tasks: TaskTracker,
}

impl<S: Service> Server<S> {
    /// Makes a server that listens nowhere yet.
    pub fn new(service: Arc<S>, admission: Admission) -> Self {
        let (stopping, aborting, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
        Self {
            connections: Connections::new(Arc::clone(&service), stopping.clone(), aborting.clone(), tasks.clone()),
            service,
            slots: Arc::new(Semaphore::new(admission.connections_max)),
            admission,
            addresses: Arc::default(),
            stopping,
            aborting,
            tasks,
        }
    }

    /// Accepts connections on a listener. Never returns: dropping the future stops accepting.
    pub async fn listen<L: Listener>(&self, listener: &L) {
        // For lack of file descriptors, for instance.
        let failures = LogThrottle::every_secs(limits::ACCEPT_WARNING_SECS);
        loop {
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    if let Some(failures) = failures.count() {
                        tracing::warn!(%error, failures, "can't accept connections");
                    }
                    time::sleep(Duration::from_millis(limits::ACCEPT_RETRY_MILLIS)).await;
                    continue;
                }
            };
            // Not before the connection is there: a listener that waits must not hold a slot that another could use.
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return };
            if let Ok(permits) = self.permits(slot, peer.ip()) {
                self.tasks.spawn(self.connections.run(stream, peer, permits));
            }
        }
    }

    fn permits(&self, slot: OwnedSemaphorePermit, peer: IpAddr) -> Result<Permits, address::TooMany> {
        if self.admission.proxies.trusts(peer) {
            return Ok(Permits { _slot: slot, _counted: None });
        }
        match self.addresses.admit(peer) {
            Ok(counted) => Ok(Permits { _slot: slot, _counted: Some(counted) }),
            Err(refusal) => {
                if refusal.is_first {
                    self.service.connections_refused(peer);
                }
                Err(refusal)
            }
        }
    }

    /// Lets running requests end, for at most [`limits::SHUTDOWN_SECS`]; returns when every connection is closed.
    pub async fn shut_down(self) {
        self.tasks.close();
        self.stopping.cancel();
        if time::timeout(Duration::from_secs(limits::SHUTDOWN_SECS), self.tasks.wait()).await.is_err() {
            tracing::warn!(connections = self.tasks.len(), "aborting connections that did not close in time");
            self.aborting.cancel();
            self.tasks.wait().await;
        }
    }
}

/// Serves on one listener until `shutdown` completes, then lets running requests end.
///
/// Returns when every connection is closed, at the latest [`limits::SHUTDOWN_SECS`] after `shutdown`.
pub async fn serve<S: Service, L: Listener>(
    listener: L,
    service: Arc<S>,
    admission: Admission,
    shutdown: impl Future<Output = ()>,
) {
    let server = Server::new(service, admission);
    tokio::select! {
        biased;
        () = shutdown => {}
        () = server.listen(&listener) => {}
    }
    drop(listener);
    server.shut_down().await;
}

#[cfg(test)]
mod tests;
