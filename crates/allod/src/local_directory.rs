//! A did:plc directory of our own, for `allod plc` and `allod dev`.

use std::{future::Future, sync::Arc};

use allod_plc::directory::{self, Directory};
use allod_store::Db;
use tokio::net::TcpListener;

use crate::{commands::Failure, system};

/// Runs a directory until `stop`; its store is closed at the end.
pub(crate) async fn run(
    listener: TcpListener,
    db: Db,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Failure> {
    let directory = Directory::start(Arc::clone(&db), Arc::new(system::now_micros)).await.map_err(Failure::failed)?;
    directory::serve(listener, directory, stop).await.map_err(Failure::failed)?;
    db.close().await;
    Ok(())
}
