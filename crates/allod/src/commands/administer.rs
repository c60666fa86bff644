//! Gets an administrative command carried out: by the running server, else here, on its data.

use std::{io::ErrorKind, path::Path, sync::Arc};

use allod_server::{
    app::App,
    config::Config,
    control::{self, Answer, CallError, Command, Peer, Silent},
};
use tokio_util::sync::CancellationToken;

use super::{DEFAULT_CONFIG_FILES, Failure, SYSTEM_CONFIG_FILE, load_config, load_with, usable};
use crate::{
    cli::Target,
    config::{ConfigFile, Loaded, Problem, settings::DATA_DIRECTORY},
    data_directory::DataDirectory,
    dev_network::{DevChoices, DevNetwork},
    launch, local_directory, output, runtime,
};

/// Where `allod dev` keeps its data when it is told nothing.
const DEV_DATA_DIRECTORY: &str = "./allod-dev";

/// Carries the command out and gives its answer.
pub(super) fn administer(target: &Target, command: &Command) -> Result<Answer, Failure> {
    administer_with(target, command, &mut Silent)
}

/// Carries the command out and gives its answer. `peer` has what it takes beside its words, and gets what it gives before.
pub(super) fn administer_with(target: &Target, command: &Command, peer: &mut dyn Peer) -> Result<Answer, Failure> {
    let place = Place::find(target)?;
    runtime::for_command().map_err(Failure::failed)?.block_on(async {
        match control::call(&place.data.control_socket(), command, peer).await {
            Ok(answer) => Ok(answer),
            Err(CallError::NoServer) => here(place, target, command, peer).await,
            Err(error) => Err(Failure::failed(error)),
        }
    })
}

/// A data directory, and the configuration that it was found by.
pub(super) struct Place {
    /// The directory.
    pub(super) data: DataDirectory,
    /// The configuration; not read yet when the directory was named.
    loaded: Option<Loaded>,
}

impl Place {
    /// Finds the directory: named on the command line, else configured (by the environment, `./allod.toml`,
    /// `/etc/allod/allod.toml`), else that of `allod dev`.
    pub(super) fn find(target: &Target) -> Result<Self, Failure> {
        if let Some(path) = &target.data_dir {
            return Ok(Self { data: DataDirectory::at(path), loaded: None });
        }
        let mut looked = vec!["--data-dir is not given".to_owned()];
        let loaded = match target.config.as_path() {
            Some(path) => load_config(Some(path))?,
            None => load_found(&mut looked)?,
        };
        if loaded.data_directory_given {
            let path = loaded.data_directory.clone().ok_or_else(|| Failure::Config(loaded.problems.clone()))?;
            let from = loaded.effective.iter().find(|setting| setting.key == DATA_DIRECTORY.entry.key);
            if from.is_some_and(|setting| setting.source.starts_with(SYSTEM_CONFIG_FILE)) {
                output::remark(format_args!("using the data in {} (from {SYSTEM_CONFIG_FILE})", path.display()));
            }
            return Ok(Self { data: DataDirectory::at(path), loaded: Some(loaded) });
        }
        looked.push("ALLOD_DATA_DIRECTORY and PDS_DATA_DIRECTORY are not set".to_owned());
        if let Some(path) = loaded.data_directory.as_deref().filter(|path| path.is_dir()) {
            return Ok(Self { data: DataDirectory::at(path), loaded: Some(loaded) });
        }
        if let Some(path) = &loaded.data_directory {
            looked.push(format!("{} does not exist", path.display()));
        }
        let dev = Path::new(DEV_DATA_DIRECTORY);
        if DevNetwork::is_at(dev) {
            output::remark(format_args!("using the data in {DEV_DATA_DIRECTORY}"));
            return Ok(Self { data: DataDirectory::at(dev), loaded: Some(loaded) });
        }
        looked.push(format!("{DEV_DATA_DIRECTORY} does not exist"));
        Err(Failure::Usage(format!(
            "no data directory was found:\n  {}\nUse --data-dir for the directory, or --config for the configuration file. \
             To load settings from an environment file: set -a; . /etc/allod/pds.env",
            looked.join("\n  ")
        )))
    }

    /// The configuration.
    fn loaded(&mut self, target: &Target) -> Result<Loaded, Failure> {
        match self.loaded.take() {
            Some(loaded) => Ok(loaded),
            None => load_config(target.config.as_path()),
        }
    }
}

/// Reads the configuration that is found where nobody named one. That of an installed server may be closed to who asks
/// for another one.
fn load_found(looked: &mut Vec<String>) -> Result<Loaded, Failure> {
    for path in DEFAULT_CONFIG_FILES {
        match std::fs::read_to_string(path) {
            Ok(text) => {
                let loaded = load_with(Some(ConfigFile { path: path.into(), text }));
                looked.push(format!("{path} does not set data_directory"));
                return Ok(loaded);
            }
            Err(reason) if reason.kind() == ErrorKind::NotFound => looked.push(format!("{path} does not exist")),
            Err(reason) if path == SYSTEM_CONFIG_FILE => looked.push(format!("{path} can't be read: {reason}")),
            Err(reason) => {
                return Err(Failure::Config(vec![Problem::at(path, format!("can't be read: {reason}"))]));
            }
        }
    }
    Ok(load_with(None))
}

/// No server runs: opens the data and does what it would have done.
async fn here(mut place: Place, target: &Target, command: &Command, peer: &mut dyn Peer) -> Result<Answer, Failure> {
    let opened = Opened::open(&mut place, target, launch::open).await?;
    let outcome = control::execute(&opened.app, command.clone(), peer).await.map_err(Failure::failed);
    opened.close().await;
    outcome
}

/// A server's data, opened without serving it.
pub(super) struct Opened {
    /// The server's parts.
    pub(super) app: Arc<App>,
    /// The port that DID documents name, where they name one.
    pub(super) fixed_port: Option<u16>,
    directory_stop: CancellationToken,
}

impl Opened {
    /// Opens the data of a place with `open`.
    pub(super) async fn open(
        place: &mut Place,
        target: &Target,
        open: impl AsyncFnOnce(Config, &DataDirectory, Option<u16>) -> Result<Arc<App>, Failure>,
    ) -> Result<Self, Failure> {
        place.data.check_format()?;
        if !place.data.database().is_file() {
            return Err(Failure::Usage(format!(
                "no Allod data in {}; use --data-dir for the data directory",
                place.data.path().display()
            )));
        }
        place.data.check_owner()?;
        let directory_stop = CancellationToken::new();
        let (config, fixed_port) = if let Some(network) = DevNetwork::open(&place.data)? {
            let plc_port = start_directory(&place.data, directory_stop.clone()).await?;
            let port = network.last_port();
            (network.settings(plc_port, &DevChoices::default())?.into_config(port.unwrap_or_default()), port)
        } else {
            // The server tells its warnings at its start.
            let (settings, _) = usable(place.loaded(target)?)?;
            let (port, fixed_port) = (settings.port, settings.fixed_port());
            (settings.into_config(port), fixed_port)
        };
        let app = open(config, &place.data, fixed_port).await?;
        Ok(Self { app, fixed_port, directory_stop })
    }

    /// Closes the data.
    pub(super) async fn close(self) {
        self.app.db.close().await;
        self.directory_stop.cancel();
    }
}

/// Runs the development network's did:plc directory for as long as the command takes.
async fn start_directory(data: &DataDirectory, stop: CancellationToken) -> Result<u16, Failure> {
    let (listener, address) = launch::listen([127, 0, 0, 1].into(), 0, "--port").await?;
    let db = launch::open_store(&data.plc_database())?;
    tokio::spawn(local_directory::run(listener, db, stop.cancelled_owned()));
    Ok(address.port())
}
