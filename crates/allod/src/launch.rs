//! Puts a server together out of its configuration and the real world, and runs it.

use std::{
    future::Future,
    io::Read,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use allod_plc::client::PlcClient;
use allod_server::{
    app::{App, Parts},
    config::Config,
    control,
    domain::{
        blobs::disk::Disk,
        forms::Forms,
        identity::{Resolver, outbound::Guarded},
        mail::Transport,
    },
    http, jobs,
    smtp::{Smtp, SmtpConfig, SmtpError},
};
use allod_store::{
    Db,
    sqlite::{self, SqliteOptions},
};
use tokio::net::TcpListener;
use url::Url;

use crate::{
    commands::Failure,
    data_directory::DataDirectory,
    system::{SystemClock, SystemRandomness},
};

/// How long connecting to an address of the operator's may take, in seconds.
const OPERATOR_CONNECT_SECS_MAX: u64 = 3;

/// The largest file of certificate authorities taken, in bytes.
const CA_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Takes a port; `flag` is what the operator can change it with.
pub(crate) async fn listen(address: IpAddr, port: u16, flag: &str) -> Result<(TcpListener, SocketAddr), Failure> {
    let wanted = SocketAddr::new(address, port);
    let listener = TcpListener::bind(wanted).await.map_err(|reason| {
        Failure::Failed(if reason.kind() == std::io::ErrorKind::AddrInUse {
            format!("port {port} is in use by another process; choose another with {flag}")
        } else {
            format!("can't listen on {wanted}: {reason}")
        })
    })?;
    let address = listener.local_addr().map_err(Failure::failed)?;
    Ok((listener, address))
}

/// Opens a database file.
pub(crate) fn open_store(path: &Path) -> Result<Db, Failure> {
    sqlite::open(SqliteOptions::new(path)).map_err(Failure::failed)
}

/// Puts the server's parts together.
pub(crate) fn app(config: Config, db: Db, data: &DataDirectory) -> Result<Arc<App>, Failure> {
    let location = config.blob_directory.clone().unwrap_or_else(|| data.blobs());
    let objects = Disk::open(&location, config.blob_temporary_directory.as_deref(), None).map_err(Failure::failed)?;
    let clock = Arc::new(SystemClock);
    let plc = PlcClient::new(config.identity.plc_url.clone(), operator_client()?);
    let outbound = Arc::new(Guarded::new(config.identity.resolve_timeout_millis, config.dev_mode));
    let resolver = Resolver::new(plc.clone(), outbound, Arc::<SystemClock>::clone(&clock), config.dev_mode);
    let randomness = Arc::new(SystemRandomness);
    let smtp = config.smtp.as_ref().map(|smtp| mail_server(smtp, &config)).transpose()?;
    let mail_transport = smtp.map(|smtp| Arc::new(smtp) as Arc<dyn Transport>);
    App::new(Parts {
        config,
        db,
        objects: Arc::new(objects),
        imports_directory: data.imports(),
        clock,
        randomness,
        plc,
        resolver,
        mail_transport,
        forms: Forms::new(operator_client()?),
        failpoints: None,
    })
    .map_err(Failure::failed)
}

/// Gets ready to hand letters to the operator's mail server.
fn mail_server(smtp: &SmtpConfig, config: &Config) -> Result<Smtp, Failure> {
    let authorities = smtp.ca_file.as_deref().map(|path| {
        read_bounded(path, CA_FILE_BYTES_MAX)
            .map_err(|reason| Failure::Failed(format!("email_smtp_ca_file: can't read {}: {reason}", path.display())))
    });
    let authorities = authorities.transpose()?;
    Smtp::new(smtp, &config.service, authorities.as_deref()).map_err(|error| match (error, &smtp.ca_file) {
        (error @ SmtpError::Authorities, Some(path)) => Failure::Failed(format!("{}: {error}", path.display())),
        (error, _) => Failure::failed(error),
    })
}

fn read_bounded(path: &Path, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= bytes_max) {
        Ok(bytes)
    } else {
        Err(std::io::Error::other(format!("it has more than {bytes_max} bytes")))
    }
}

/// A client for addresses that the operator chose: the did:plc directory, services that verify who signs up.
fn operator_client() -> Result<reqwest::Client, Failure> {
    // A provider that is already there is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[expect(clippy::disallowed_methods, reason = "the operator chose the address; it may well be on this machine")]
    let builder = reqwest::Client::builder();
    builder
        .connect_timeout(Duration::from_secs(OPERATOR_CONNECT_SECS_MAX))
        .redirect(reqwest::redirect::Policy::none())
        .user_agent(concat!("allod/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(Failure::failed)
}

/// The base URL of a directory on this machine.
pub(crate) fn local_url(port: u16) -> Result<Url, Failure> {
    Url::parse(&format!("http://127.0.0.1:{port}")).map_err(Failure::failed)
}

/// Runs the server until `stop`: requests, administrative commands and background work. The store is closed at the end.
///
/// `ready` is called when requests and commands are taken.
pub(crate) async fn run(
    app: Arc<App>,
    listener: TcpListener,
    data: &DataDirectory,
    ready: impl FnOnce(),
    stop: impl Future<Output = ()>,
) {
    let jobs = tokio::spawn(jobs::run(Arc::clone(&app)));
    // Without the socket the server is as good as ever; only `allod account` and `allod invite` miss it.
    let control = match control::Listener::bind(data.path()) {
        Ok(listener) => Some(tokio::spawn(listener.serve(Arc::clone(&app)))),
        Err(error) => {
            tracing::warn!(%error, "administrative commands are not taken while this server runs");
            None
        }
    };
    ready();
    http::serve(listener, Arc::clone(&app), stop).await;
    for task in [Some(jobs), control].into_iter().flatten() {
        task.abort();
        // Aborted on purpose: how it ended says nothing.
        let _ = task.await;
    }
    app.db.close().await;
}
