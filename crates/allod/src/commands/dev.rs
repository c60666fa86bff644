//! `allod dev`: a whole local network, from nothing.

use std::{
    fs::Permissions,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    os::unix::fs::PermissionsExt as _,
};

use allod_server::app::App;
use tokio::net::TcpListener;

use super::Failure;
use crate::{
    cli::Dev,
    data_directory::DataDirectory,
    dev_network::{DevChoices, DevNetwork, ignored_names},
    launch, local_directory, logging, output, process_limits, runtime, surroundings,
};

/// Where the did:plc directory of a development network listens: nowhere but on this machine.
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Runs the network until it is told to stop.
pub(super) fn run(arguments: &Dev) -> Result<(), Failure> {
    let temporary = if arguments.ephemeral {
        let private = Permissions::from_mode(0o700);
        let folder = tempfile::Builder::new().prefix("allod-dev-").permissions(private).tempdir();
        Some(folder.map_err(Failure::failed)?)
    } else {
        None
    };
    let path = temporary.as_ref().map_or(arguments.data_dir.as_path(), tempfile::TempDir::path);
    let data = DataDirectory::create(path)?;
    let outcome = runtime::for_server().map_err(Failure::failed)?.block_on(serve(arguments, &data));
    if let Some(temporary) = temporary {
        temporary.close().map_err(Failure::failed)?;
    }
    outcome
}

async fn serve(arguments: &Dev, data: &DataDirectory) -> Result<(), Failure> {
    let stop = runtime::stop_on_signal().map_err(Failure::failed)?;
    let (listener, address) = listen(arguments, data).await?;
    let (plc_listener, plc_address) = launch::listen(LOOPBACK, arguments.plc_port, "--plc-port").await?;

    let network = DevNetwork::create(data)?;
    let choices = DevChoices { bind_address: arguments.bind, jetstream: arguments.jetstream };
    let settings = network.settings(plc_address.port(), &choices)?;
    let _log = logging::start(&settings.log, settings.log_format).map_err(Failure::failed)?;
    let plc_db = launch::open_store(&data.plc_database())?;
    let mut config = settings.into_config(address.port());
    config.connections_max = process_limits::raise_open_files();
    let app = launch::open(config, data, Some(address.port())).await?;
    network.remember_port(address.port())?;

    // The directory outlives the server, which may still be talking to it while it stops.
    let directory_stop = tokio_util::sync::CancellationToken::new();
    let directory = tokio::spawn(local_directory::run(plc_listener, plc_db, directory_stop.clone().cancelled_owned()));
    let banner = banner(&app, address.port(), plc_address.port(), data);
    let ready = || {
        tell_what_is_not_as_usual(arguments, data);
        output::text(banner);
    };
    launch::run(app, listener, data, ready, stop.cancelled()).await;
    directory_stop.cancel();
    directory.await.map_err(Failure::failed)?
}

/// Takes the server's port. Where any will do, it is the one that the accounts in the data have, if that can be had.
async fn listen(arguments: &Dev, data: &DataDirectory) -> Result<(TcpListener, SocketAddr), Failure> {
    if arguments.port == 0
        && let Some(port) = DevNetwork::open(data)?.and_then(|network| network.last_port())
        && let Ok(taken) = launch::listen(arguments.bind, port, "--port").await
    {
        return Ok(taken);
    }
    launch::listen(arguments.bind, arguments.port, "--port").await
}

fn tell_what_is_not_as_usual(arguments: &Dev, data: &DataDirectory) {
    let ignored = ignored_names(surroundings::environment().into_iter().map(|(name, _)| name));
    if !ignored.is_empty() {
        output::remark(format_args!(
            "`allod dev` ignores these settings: {} (see `allod dev --help` for its options; `allod serve` reads settings)",
            ignored.join(", ")
        ));
    }
    if !arguments.bind.is_loopback() {
        output::remark(format_args!(
            "warning: the server listens on {}: anyone who reaches it can sign up and read its e-mails at /dev/mail",
            arguments.bind
        ));
    }
    if let Some(warning) = data.permission_warning() {
        output::remark(format_args!("warning: {warning}"));
    }
}

fn banner(app: &App, port: u16, plc_port: u16, data: &DataDirectory) -> String {
    let admin_password = app.config.secrets.admin_password.as_ref().map_or("", |password| password.expose());
    let firehose = if app.config.firehose.jetstream {
        format!("\n  Jetstream  ws://localhost:{port}/subscribe")
    } else {
        String::new()
    };
    format!(
        "Allod development network

  Server     http://localhost:{port}
  Directory  http://localhost:{plc_port} (did:plc)
  Mail       http://localhost:{port}/dev/mail{firehose}
  Data       {}
  Admin      user admin, password {admin_password}

Create an account:

  curl http://localhost:{port}/xrpc/com.atproto.server.createAccount \\
    -H 'Content-Type: application/json' \\
    -d '{{\"handle\":\"alice.test\",\"email\":\"alice@example.com\",\"password\":\"correct horse battery\"}}'

Stop with Ctrl-C.

",
        data.path().display()
    )
}
