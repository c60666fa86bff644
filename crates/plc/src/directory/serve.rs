//! Accepting connections, and ending in good order.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, Sleep, sleep},
};

use super::{
    Directory,
    http::{Service, router},
};
use crate::limits::{CONNECTIONS_MAX, DRAIN_SECS_MAX, HEAD_SECS_MAX, STREAMS_MAX};

/// How often connections that can't be accepted are logged.
const WARNING_INTERVAL: Duration = Duration::from_mins(1);

const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);

/// Serves `directory` over HTTP/1.1 on `listener` until `shutdown` is ready; requests under way may finish.
///
/// # Errors
/// When the listener can't be used at all. A connection that fails, or the lack of file descriptors, is not an error.
pub async fn serve(
    listener: TcpListener,
    directory: Directory,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    listener.local_addr()?;
    let (stop, stopped) = watch::channel(false);
    let streams = Arc::clone(&directory.shared.streams);
    let answer_time_max = directory.shared.stream_limits.answer_time_max;
    let router = router(Service { directory, stop: stopped.clone() });
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
    let mut shutdown = pin!(shutdown);
    let mut warned_at: Option<Instant> = None;
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((stream, slot)) => {
                let stream = Impatient { stream, time_max: answer_time_max, stalled: None };
                let connection = serve_connection(stream, router.clone(), stopped.clone());
                tokio::spawn(async move {
                    connection.await;
                    drop(slot);
                });
            }
            Err(error) => {
                if warned_at.is_none_or(|at| at.elapsed() >= WARNING_INTERVAL) {
                    warned_at = Some(Instant::now());
                    tracing::warn!(%error, "can't accept connections");
                }
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
    stop.send_replace(true);
    let all_ended =
        async { (slots.acquire_many(CONNECTIONS_MAX).await.is_ok(), streams.acquire_many(STREAMS_MAX).await.is_ok()) };
    if tokio::time::timeout(Duration::from_secs(DRAIN_SECS_MAX), all_ended).await.is_err() {
        tracing::warn!("the directory stopped with open connections");
    }
    Ok(())
}

async fn accept(listener: &TcpListener, slots: &Arc<Semaphore>) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    // Only a matter of speed: without it, answers go out all the same.
    let _ = stream.set_nodelay(true);
    Ok((stream, slot))
}

async fn serve_connection(stream: Impatient, router: Router, mut stopped: watch::Receiver<bool>) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_secs(HEAD_SECS_MAX))
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        .with_upgrades();
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = async { drop(stopped.wait_for(|stopped| *stopped).await) } => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        connection.as_mut().graceful_shutdown();
        connection.await
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "connection failed");
    }
}

/// A connection that fails when its client takes nothing for too long.
struct Impatient {
    stream: TcpStream,
    time_max: Duration,
    /// Runs while the client takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Impatient {
    fn watched(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(self.time_max)));
        stalled.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Impatient {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Impatient {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watched(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.watched(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
