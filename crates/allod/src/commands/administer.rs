//! Gets an administrative command carried out: by the running server, else here, on its data.

use std::path::{Path, PathBuf};

use allod_server::control::{self, Answer, CallError, Command, Peer, Silent};
use tokio_util::sync::CancellationToken;

use super::{Failure, load_config, usable};
use crate::{
    cli::Target, config::Loaded, data_directory::DataDirectory, dev_network::DevNetwork, launch, local_directory,
    output, runtime,
};

/// Where `allod dev` keeps its data when it is told nothing.
const DEV_DATA_DIRECTORY: &str = "./allod-dev";

/// Carries the command out and gives its answer.
pub(super) fn administer(target: &Target, command: &Command) -> Result<Answer, Failure> {
    administer_with(target, command, &mut Silent)
}

/// Carries the command out and gives its answer. `peer` has what it takes beside its words, and gets what it gives before.
pub(super) fn administer_with(target: &Target, command: &Command, peer: &mut dyn Peer) -> Result<Answer, Failure> {
    let loaded = load_config(target.config.as_path())?;
    let data = DataDirectory::at(data_directory(target, &loaded)?);
    runtime::for_command().map_err(Failure::failed)?.block_on(async {
        match control::call(&data.control_socket(), command, peer).await {
            Ok(answer) => Ok(answer),
            Err(CallError::NoServer) => here(&data, loaded, command, peer).await,
            Err(error) => Err(Failure::failed(error)),
        }
    })
}

/// The directory named on the command line, else the configured one, else that of `allod dev` if it is there.
fn data_directory(target: &Target, loaded: &Loaded) -> Result<PathBuf, Failure> {
    if let Some(path) = &target.data_dir {
        return Ok(path.clone());
    }
    let dev = Path::new(DEV_DATA_DIRECTORY);
    match &loaded.data_directory {
        Some(path) if loaded.data_directory_given || path.is_dir() => Ok(path.clone()),
        Some(_) | None if DevNetwork::is_at(dev) => {
            output::remark(format_args!("using the data in {DEV_DATA_DIRECTORY}"));
            Ok(dev.to_owned())
        }
        Some(path) => Ok(path.clone()),
        None => Err(Failure::Config(loaded.problems.clone())),
    }
}

/// No server runs: opens the data and does what it would have done.
async fn here(data: &DataDirectory, loaded: Loaded, command: &Command, peer: &mut dyn Peer) -> Result<Answer, Failure> {
    if !data.database().is_file() {
        return Err(Failure::Usage(format!(
            "there is no server's data in {}; name its directory with --data-dir",
            data.path().display()
        )));
    }
    let directory_stop = CancellationToken::new();
    let config = if let Some(network) = DevNetwork::open(data)? {
        let plc_port = start_directory(data, directory_stop.clone()).await?;
        let port = network.last_port().unwrap_or_default();
        network.settings(plc_port)?.into_config(port)
    } else {
        let settings = usable(loaded)?;
        let port = settings.port;
        settings.into_config(port)
    };
    let app = launch::app(config, launch::open_store(&data.database())?, data)?;
    let outcome = control::execute(&app, command.clone(), peer).await.map_err(Failure::failed);
    app.db.close().await;
    directory_stop.cancel();
    outcome
}

/// Runs the development network's did:plc directory for as long as the command takes.
async fn start_directory(data: &DataDirectory, stop: CancellationToken) -> Result<u16, Failure> {
    let (listener, address) = launch::listen([127, 0, 0, 1].into(), 0, "--port").await?;
    let db = launch::open_store(&data.plc_database())?;
    tokio::spawn(local_directory::run(listener, db, stop.cancelled_owned()));
    Ok(address.port())
}
