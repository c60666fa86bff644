//! What `allod dev` keeps beside its databases: its secrets, so that a restart goes on with the same data, and its port.

use std::{
    fs,
    io::{self, Write},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use crate::{
    commands::{Failure, new_rotation_key, new_token_secret},
    config::{ConfigFile, Settings, Sources, load},
    data_directory::DataDirectory,
    launch, runtime,
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
        let text = format!(
            "# Made by `allod dev`; the data beside it can't be read without it.\n\
             jwt_secret = \"{}\"\nadmin_password = \"{}\"\nplc_rotation_key_k256_private_key_hex = \"{}\"\n",
            new_token_secret(),
            new_token_secret(),
            new_rotation_key()
        );
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
    pub(crate) fn settings(&self, plc_port: u16) -> Result<Settings, Failure> {
        let plc_url = launch::local_url(plc_port)?;
        let text = format!(
            "{}\nhostname = \"localhost\"\nbind_address = \"127.0.0.1\"\ndev_mode = true\ninvite_required = false\n\
             did_web_accounts = true\nservice_handle_domains = [\"{HANDLE_DOMAIN}\"]\ndid_plc_url = \"{plc_url}\"\n",
            self.secrets.text
        );
        let environment = std::env::vars_os().filter(|(name, _)| ENVIRONMENT_NAMES.iter().any(|known| name == known));
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

/// Writes a file for its owner alone, whole or not at all.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let unfinished = path.with_extension("new");
    let mut file = fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&unfinished, path)
}
