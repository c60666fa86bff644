//! `allod dev`: a whole local network, from nothing.

use std::net::{IpAddr, Ipv4Addr};

use super::Failure;
use crate::{
    cli::Dev, data_directory::DataDirectory, dev_network::DevNetwork, launch, local_directory, logging, output, runtime,
};

/// Where a development network listens: nowhere but on this machine.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Runs the network until it is told to stop.
pub(super) fn run(arguments: &Dev) -> Result<(), Failure> {
    let temporary = if arguments.ephemeral {
        Some(tempfile::Builder::new().prefix("allod-dev-").tempdir().map_err(Failure::failed)?)
    } else {
        None
    };
    let path = temporary.as_ref().map_or(arguments.data_dir.as_path(), tempfile::TempDir::path);
    let data = DataDirectory::create(path).map_err(Failure::failed)?;
    let outcome = runtime::for_server().map_err(Failure::failed)?.block_on(serve(arguments, &data));
    if let Some(temporary) = temporary {
        temporary.close().map_err(Failure::failed)?;
    }
    outcome
}

async fn serve(arguments: &Dev, data: &DataDirectory) -> Result<(), Failure> {
    let stop = runtime::stop_on_signal().map_err(Failure::failed)?;
    let (listener, address) = launch::listen(LOOPBACK, arguments.port, "--port").await?;
    let (plc_listener, plc_address) = launch::listen(LOOPBACK, arguments.plc_port, "--plc-port").await?;

    let plc_db = launch::open_store(&data.plc_database())?;
    let db = launch::open_store(&data.database())?;
    let network = DevNetwork::create(data)?;
    network.remember_port(address.port())?;
    let settings = network.settings(plc_address.port())?;
    logging::start(&settings.log, settings.log_format);
    let config = settings.into_config(address.port());
    let admin_password = config.secrets.admin_password.clone();
    let app = launch::app(config, db, data)?;

    // The directory outlives the server, which may still be talking to it while it stops.
    let directory_stop = tokio_util::sync::CancellationToken::new();
    let directory = tokio::spawn(local_directory::run(plc_listener, plc_db, directory_stop.clone().cancelled_owned()));
    let password = admin_password.as_ref().map_or("", |password| password.expose());
    let ready = || output::text(banner(address.port(), plc_address.port(), data, password));
    launch::run(app, listener, data, ready, stop.cancelled()).await;
    directory_stop.cancel();
    directory.await.map_err(Failure::failed)?
}

fn banner(port: u16, plc_port: u16, data: &DataDirectory, admin_password: &str) -> String {
    format!(
        "Allod development network

  Server     http://localhost:{port}
  Directory  http://localhost:{plc_port} (did:plc)
  Mail       http://localhost:{port}/dev/mail
  Data       {}
  Admin      user admin, password {admin_password}

Create an account:

  curl http://localhost:{port}/xrpc/com.atproto.server.createAccount \\
    -H 'Content-Type: application/json' \\
    -d '{{\"handle\":\"alice.test\",\"email\":\"alice@example.com\",\"password\":\"correct-horse\"}}'

Stop with Ctrl-C.

",
        data.path().display()
    )
}
