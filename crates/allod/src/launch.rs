//! Puts a server together out of its configuration and the real world, and runs it.

use std::{
    future::Future,
    io::Read,
    net::{IpAddr, SocketAddr},
    path::Path,
    sync::Arc,
};

use allod_blobstore::disk::Disk;
use allod_net::{dns::Dns, forms::Forms, operator, outbound::Guarded, resolver::Resolver};
use allod_plc::client::PlcClient;
use allod_server::{
    adapters::{
        sendmail::Sendmail,
        smtp::{Smtp, SmtpConfig, SmtpError},
    },
    app::{App, Parts},
    config::{Config, MailConfig},
    control,
    domain::{
        disposable_domains::DisposableDomains,
        installation::{Installation, InstallationError},
        mail::Transport,
    },
    jobs, service,
};
use allod_store::{
    Db,
    sqlite::{self, SqliteOptions},
    tables::meta,
};
use tokio::net::TcpListener;
use url::Url;

use crate::{
    commands::Failure,
    config::Problem,
    data_directory::DataDirectory,
    sequence_mark::SequenceMark,
    system::{self, SystemClock, SystemRandomness},
};

/// How much of the disk is kept for what must be written also when it is full, in bytes.
const DISK_RESERVE_BYTES: u64 = 32 * 1024 * 1024;

/// The largest file of certificate authorities taken, in bytes.
const CA_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// The largest list of throw-away e-mail domains taken, in bytes.
const DISPOSABLE_DOMAINS_FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;

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

/// Opens the data and puts the server together, after checking that the data belongs to what is configured.
/// `fixed_port` is the port that DID documents name, where the host is this machine and the operator chose one.
pub(crate) async fn open(config: Config, data: &DataDirectory, fixed_port: Option<u16>) -> Result<Arc<App>, Failure> {
    let app = open_unchecked(config, data).await?;
    let checked = installation(&app, fixed_port).check(&*app.db, &app.keyring).await;
    match checked {
        Ok(()) => Ok(app),
        Err(error) => {
            app.db.close().await;
            Err(match error {
                InstallationError::Mismatches(_) | InstallationError::MasterKey { .. } => {
                    Failure::Config(error.to_string().lines().map(Problem::general).collect())
                }
                InstallationError::Read(_) | InstallationError::Commit(_) => Failure::failed(error),
            })
        }
    }
}

/// The keys and names that are configured.
pub(crate) fn installation(app: &App, fixed_port: Option<u16>) -> Installation {
    Installation::of(&app.config, app.rotation_key.did_key().to_string(), fixed_port)
}

/// As [`open`], for data that need not belong to what is configured.
pub(crate) async fn open_unchecked(config: Config, data: &DataDirectory) -> Result<Arc<App>, Failure> {
    data.check_format()?;
    let mut options = SqliteOptions::new(data.database());
    if !config.dev_mode {
        options = options.with_disk_reserve(DISK_RESERVE_BYTES);
    }
    let mark = (!config.dev_mode).then(|| SequenceMark::read(data));
    if let Some(mark) = &mark {
        options.sequence_floor = mark.floor(system::now_micros());
    }
    let db = sqlite::open(options).map_err(Failure::failed)?;
    if let Some(mark) = mark.filter(|mark| mark.given() > 0) {
        let stored = meta::numbered_events(&*db).await.map_err(Failure::failed)?;
        if mark.is_behind(stored) {
            tracing::warn!(
                stored,
                given = mark.given(),
                next = *db.watch().borrow() + 1,
                "the database is older than the file event-sequence, so it was probably restored from a copy; new event \
                 numbers start above all published ones"
            );
        }
    }
    app(config, db, data)
}

/// Puts the server's parts together.
fn app(mut config: Config, db: Db, data: &DataDirectory) -> Result<Arc<App>, Failure> {
    let location = config.blob_directory.clone().unwrap_or_else(|| data.blobs());
    let objects = Disk::open(&location, config.blob_temporary_directory.as_deref(), None).map_err(Failure::failed)?;
    if let Some(path) = &config.sign_up.disposable_domains_file {
        config.sign_up.disposable_domains = disposable_domains(path)?;
    }
    let clock = Arc::new(SystemClock);
    let dns = Dns::of_the_system();
    let plc = PlcClient::new(config.identity.plc_url.clone(), operator::client(&dns).map_err(Failure::failed)?);
    let outbound = Arc::new(Guarded::new(config.identity.resolve_timeout_millis, config.dev_mode, Arc::clone(&dns)));
    let resolver = Resolver::new(plc.clone(), outbound, Arc::<SystemClock>::clone(&clock), config.dev_mode);
    let randomness = Arc::new(SystemRandomness);
    let mail_transport = config.mail.as_ref().map(|mail| mail_transport(mail, &config, &dns)).transpose()?;
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
        forms: Forms::new(operator::client(&dns).map_err(Failure::failed)?),
        failpoints: None,
    })
    .map_err(Failure::failed)
}

/// Gets ready to hand e-mails over.
fn mail_transport(mail: &MailConfig, config: &Config, dns: &Arc<Dns>) -> Result<Arc<dyn Transport>, Failure> {
    Ok(match mail {
        MailConfig::Smtp(smtp) => Arc::new(mail_server(smtp, config, dns)?),
        MailConfig::Sendmail(sendmail) => Arc::new(Sendmail::new(sendmail, &config.service).map_err(Failure::failed)?),
    })
}

/// Gets ready to hand e-mails to the operator's mail server.
fn mail_server(smtp: &SmtpConfig, config: &Config, dns: &Arc<Dns>) -> Result<Smtp, Failure> {
    let authorities = smtp.ca_file.as_deref().map(|path| {
        read_bounded(path, CA_FILE_BYTES_MAX)
            .map_err(|reason| Failure::Failed(format!("email_smtp_ca_file: can't read {}: {reason}", path.display())))
    });
    let authorities = authorities.transpose()?;
    Smtp::new(smtp, &config.service, authorities.as_deref(), Arc::clone(dns)).map_err(|error| {
        match (error, &smtp.ca_file) {
            (error @ SmtpError::Authorities, Some(path)) => Failure::Failed(format!("{}: {error}", path.display())),
            (error, _) => Failure::failed(error),
        }
    })
}

/// Reads the operator's list of throw-away e-mail domains.
fn disposable_domains(path: &Path) -> Result<DisposableDomains, Failure> {
    let failed = |reason: String| {
        Failure::Failed(format!("disposable_email_domains_file: can't read {}: {reason}", path.display()))
    };
    let bytes = read_bounded(path, DISPOSABLE_DOMAINS_FILE_BYTES_MAX).map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| failed("the file is not UTF-8".to_owned()))?;
    DisposableDomains::parse(&text).map_err(|error| failed(error.to_string()))
}

fn read_bounded(path: &Path, bytes_max: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = std::fs::File::open(path)?.take(bytes_max + 1).read_to_end(&mut bytes)?;
    if u64::try_from(read).is_ok_and(|read| read <= bytes_max) {
        Ok(bytes)
    } else {
        Err(std::io::Error::other(format!("the file has more than {bytes_max} bytes")))
    }
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
    let marking = (!app.config.dev_mode).then(|| tokio::spawn(SequenceMark::read(data).keep(app.db.watch())));
    // Without the socket the server is as good as ever; only `allod account` and `allod invite` miss it.
    let control = match control::Listener::bind(data.path()) {
        Ok(listener) => Some(tokio::spawn(listener.serve(Arc::clone(&app)))),
        Err(error) => {
            tracing::warn!(%error, "the control socket is not available: `allod` commands can't reach this server");
            None
        }
    };
    ready();
    service::serve(listener, Arc::clone(&app), stop).await;
    for task in [Some(jobs), control, marking].into_iter().flatten() {
        task.abort();
        // Aborted on purpose: how it ended says nothing.
        let _ = task.await;
    }
    app.db.close().await;
}
