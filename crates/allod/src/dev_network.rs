//! What `allod dev` keeps beside its databases: its secrets, so that a restart goes on with the same data, and its port.

use std::{
    ffi::OsString,
    fs, io,
    net::{IpAddr, Ipv4Addr},
    path::{Path, PathBuf},
};

use crate::{
    commands::{Failure, new_master_key, new_rotation_key, new_token_secret, toml_fragment},
    config::{ConfigFile, Settings, Sources, load},
    data_directory::{DataDirectory, write_private},
    launch, runtime, surroundings,
};

/// The secrets, as a configuration file.
const SECRETS_FILE: &str = "dev-secrets.toml";

/// The port of the last run, as a decimal number.
const PORT_FILE: &str = "dev-port";

/// The environment names that a development network takes.
const ENVIRONMENT_NAMES: [&str; 4] =
    ["ALLOD_LOG", "ALLOD_LOG_FORMAT", "ALLOD_SIGN_UP_QUEUE", "ALLOD_SIGN_UP_QUEUE_PER_HOUR"];

/// Where handles of a development network are.
const HANDLE_DOMAIN: &str = ".test";

/// What somebody chooses for a development network.
pub(crate) struct DevChoices {
    /// The address that the server listens on.
    pub(crate) bind_address: IpAddr,
    /// Whether the firehose is served as JSON too.
    pub(crate) jetstream: bool,
}

impl Default for DevChoices {
    fn default() -> Self {
        Self { bind_address: Ipv4Addr::LOCALHOST.into(), jetstream: false }
    }
}

/// The names of settings in the environment that a development network does not take, sorted.
pub(crate) fn ignored_names(environment: impl Iterator<Item = OsString>) -> Vec<String> {
    let names = environment.filter_map(|name| name.into_string().ok());
    let is_setting = |name: &String| name.starts_with("ALLOD_") || name.starts_with("PDS_");
    let is_ignored = |name: &String| !ENVIRONMENT_NAMES.contains(&name.as_str()) && name != "ALLOD_TEST_SECRETS_DIR";
    let mut ignored: Vec<String> = names.filter(is_setting).filter(is_ignored).collect();
    ignored.sort_unstable();
    ignored
}

/// The development network of one data directory.
pub(crate) struct DevNetwork {
    data: DataDirectory,
    secrets: ConfigFile,
}

impl DevNetwork {
    /// Reads the network's secrets, making them the first time.
    pub(crate) fn create(data: &DataDirectory) -> Result<Self, Failure> {
        if let Some(network) = Self::open(data)? {
            return Ok(network);
        }
        let path = data.path().join(SECRETS_FILE);
        if data.database().exists() {
            return Err(Failure::Usage(format!(
                "the data in {} was not created by `allod dev`; use --data-dir for another directory",
                data.path().display()
            )));
        }
        let secrets = toml_fragment(&new_token_secret(), &new_token_secret(), &new_rotation_key(), &new_master_key());
        let text =
            format!("# Created by `allod dev`. Without this file the data in this directory can't be read.\n{secrets}");
        write_private(&path, &text)
            .map_err(|reason| Failure::Failed(format!("can't write {}: {reason}", path.display())))?;
        Ok(Self { data: data.clone(), secrets: ConfigFile { path, text } })
    }

    /// Reads the network's secrets; none when the directory is not one of `allod dev`.
    pub(crate) fn open(data: &DataDirectory) -> Result<Option<Self>, Failure> {
        let path = data.path().join(SECRETS_FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(Self { data: data.clone(), secrets: ConfigFile { path, text } })),
            Err(reason) if reason.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(reason) => Err(Failure::Failed(format!("can't read {}: {reason}", path.display()))),
        }
    }

    /// Tells whether the directory is one of `allod dev`.
    pub(crate) fn is_at(path: &Path) -> bool {
        path.join(SECRETS_FILE).is_file()
    }

    /// The server's settings, with a did:plc directory on this machine at `plc_port`.
    pub(crate) fn settings(&self, plc_port: u16, choices: &DevChoices) -> Result<Settings, Failure> {
        let plc_url = launch::local_url(plc_port)?;
        let DevChoices { bind_address, jetstream } = choices;
        let text = format!(
            "{}\nhostname = \"localhost\"\nbind_address = \"{bind_address}\"\ndev_mode = true\n\
             invite_required = false\ndid_web_accounts = true\nservice_handle_domains = [\"{HANDLE_DOMAIN}\"]\n\
             did_plc_url = \"{plc_url}\"\njetstream = {jetstream}\n",
            self.secrets.text
        );
        let environment = surroundings::environment()
            .into_iter()
            .filter(|(name, _)| ENVIRONMENT_NAMES.iter().any(|known| name == known));
        let sources = Sources {
            file: Some(ConfigFile { path: self.secrets.path.clone(), text }),
            environment: environment.collect(),
            read_file: &|path| fs::read(path),
        };
        let loaded = load(&sources, runtime::cores());
        loaded.settings.ok_or(Failure::Config(loaded.problems))
    }

    /// Remembers the server's port, which is part of every account's DID document.
    pub(crate) fn remember_port(&self, port: u16) -> Result<(), Failure> {
        let path = self.port_file();
        write_private(&path, &format!("{port}\n"))
            .map_err(|reason| Failure::Failed(format!("can't write {}: {reason}", path.display())))
    }

    /// The server's port at the last run.
    pub(crate) fn last_port(&self) -> Option<u16> {
        fs::read_to_string(self.port_file()).ok()?.trim().parse().ok()
    }

    fn port_file(&self) -> PathBuf {
        self.data.path().join(PORT_FILE)
    }
}
