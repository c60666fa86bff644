//! Sends letters to the operator's mail server. One connection for each letter, and nothing kept between them.

use std::{
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use allod_base::secret::Secret;
use allod_net::dns::Dns;
use futures_util::{FutureExt, future::BoxFuture};
use lettre::{
    message::{
        Mailbox, MessageBuilder, MultiPart,
        header::{HeaderName, HeaderValue},
    },
    transport::smtp::{
        authentication::{Credentials, DEFAULT_MECHANISMS},
        client::{AsyncSmtpConnection, Certificate, Tls, TlsParameters},
        extension::ClientId,
    },
};

use crate::{
    config::ServiceConfig,
    domain::mail::{Message, Transport, TransportError},
};

/// How long one step of the talk with a mail server may take.
const STEP_SECS_MAX: u64 = 30;

/// Answers that say that this recipient or this letter will never be taken: no mailbox, not local, malformed.
const LASTING_CODES: [u16; 3] = [550, 551, 553];

/// How a connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// From its first byte on.
    Implicit,
    /// By STARTTLS, without which nothing is sent.
    Required,
    /// By STARTTLS if the server has it.
    Opportunistic,
    /// Not at all.
    None,
}

/// The operator's mail server.
#[derive(Clone)]
pub struct SmtpConfig {
    /// Its host name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: SmtpTls,
    /// User and password.
    pub credentials: Option<(String, Secret<String>)>,
    /// Whom letters are from: an address, or a name and the address in angle brackets.
    pub from: String,
    /// A PEM file of authorities that may have signed the server's certificate, beside the public ones.
    pub ca_file: Option<PathBuf>,
}

/// Why there can be no connections as configured.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    /// Nobody can be written to from this.
    #[error("{0:?} is not a valid sender address")]
    From(String),
    /// There are no certificates in the file of authorities.
    #[error("the file of certificate authorities holds no PEM certificate that can be used")]
    Authorities,
    /// TLS can't be set up for this host.
    #[error("TLS can't be had for the mail server: {0}")]
    Tls(lettre::transport::smtp::Error),
}

/// Sends letters.
pub struct Smtp {
    dns: Arc<Dns>,
    host: String,
    port: u16,
    tls: Tls,
    credentials: Option<Credentials>,
    composer: Composer,
}

impl Smtp {
    /// Gets ready; connects to nothing yet. `authorities` is what is in [`SmtpConfig::ca_file`].
    pub fn new(
        config: &SmtpConfig,
        service: &ServiceConfig,
        authorities: Option<&[u8]>,
        dns: Arc<Dns>,
    ) -> Result<Self, SmtpError> {
        let composer = Composer::new(&config.from, service)?;
        let authority = authorities.map(authority).transpose()?;
        let parameters = || {
            let mut parameters = TlsParameters::builder(config.host.clone());
            if let Some(authority) = &authority {
                parameters = parameters.add_root_certificate(authority.clone());
            }
            parameters.build().map_err(SmtpError::Tls)
        };
        let tls = match config.tls {
            SmtpTls::Implicit => Tls::Wrapper(parameters()?),
            SmtpTls::Required => Tls::Required(parameters()?),
            SmtpTls::Opportunistic => Tls::Opportunistic(parameters()?),
            SmtpTls::None => Tls::None,
        };
        let credentials = config.credentials.as_ref();
        Ok(Self {
            dns,
            host: config.host.clone(),
            port: config.port,
            tls,
            credentials: credentials.map(|(user, password)| Credentials::new(user.clone(), password.expose().clone())),
            composer,
        })
    }

    /// Connects and signs in. lettre's own transport would resolve the host with the system's resolver, which blocks a
    /// thread for as long as a nameserver is silent.
    async fn connect(&self) -> Result<AsyncSmtpConnection, TransportError> {
        let addresses = self.dns.addresses(&self.host).await;
        let addresses = addresses.map_err(|error| TransportError::Passing(format!("{}: {error}", self.host)))?;
        let addresses: Vec<_> = addresses.into_iter().map(|address| SocketAddr::new(address, self.port)).collect();
        let hello = ClientId::Domain(self.composer.hostname.clone());
        let implicit = if let Tls::Wrapper(parameters) = &self.tls { Some(parameters.clone()) } else { None };
        let step = Some(Duration::from_secs(STEP_SECS_MAX));
        let connected = AsyncSmtpConnection::connect_tokio1(&*addresses, step, &hello, implicit, None).await;
        let mut connection = connected.map_err(|error| reason(&error))?;
        let start_tls = match &self.tls {
            Tls::Required(parameters) => Some(parameters),
            Tls::Opportunistic(parameters) if connection.can_starttls() => Some(parameters),
            Tls::Opportunistic(_) | Tls::Wrapper(_) | Tls::None => None,
        };
        if let Some(parameters) = start_tls {
            connection.starttls(parameters.clone(), &hello).await.map_err(|error| reason(&error))?;
        }
        if let Some(credentials) = &self.credentials {
            connection.auth(DEFAULT_MECHANISMS, credentials).await.map_err(|error| reason(&error))?;
        }
        Ok(connection)
    }
}

/// Makes e-mails out of messages.
pub(crate) struct Composer {
    from: Mailbox,
    hostname: String,
}

impl Composer {
    /// Takes whom e-mails are from; without a name it is the service's.
    pub(crate) fn new(from: &str, service: &ServiceConfig) -> Result<Self, SmtpError> {
        let mut from = sender(from)?;
        from.name.get_or_insert_with(|| service.name.chars().filter(|c| !c.is_control()).collect());
        Ok(Self { from, hostname: service.hostname.clone() })
    }

    /// Makes the e-mail.
    pub(crate) fn compose(&self, message: &Message) -> Result<lettre::Message, TransportError> {
        let lasting = |reason: String| TransportError::Lasting(reason);
        // An address with a line break, or anything else that is no address, goes no further.
        let to = message.to.parse().map_err(|error| lasting(format!("the recipient's address: {error}")))?;
        if message.subject.contains(['\r', '\n']) {
            return Err(lasting("the subject has a line break".to_owned()));
        }
        let time = UNIX_EPOCH + Duration::from_micros(message.time_micros);
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let builder: MessageBuilder = lettre::Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(message.subject.clone())
            .date(time)
            .message_id(Some(format!("<{}@{}>", message.id, self.hostname)))
            .raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        let body = MultiPart::alternative_plain_html(message.text.clone(), message.html.clone());
        builder.multipart(body).map_err(|error| lasting(error.to_string()))
    }
}

/// Reads the certificates of a PEM file.
fn authority(pem: &[u8]) -> Result<Certificate, SmtpError> {
    const BEGINNING: &[u8] = b"-----BEGIN CERTIFICATE-----";
    if !pem.windows(BEGINNING.len()).any(|window| window == BEGINNING) {
        return Err(SmtpError::Authorities);
    }
    Certificate::from_pem(pem).map_err(|_| SmtpError::Authorities)
}

/// Reads whom letters are from.
pub fn sender(from: &str) -> Result<Mailbox, SmtpError> {
    let wrong = || SmtpError::From(from.to_owned());
    if from.contains(char::is_control) {
        return Err(wrong());
    }
    from.parse().map_err(|_| wrong())
}

impl Transport for Smtp {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), TransportError>> {
        async move {
            let letter = self.composer.compose(message)?;
            let mut connection = self.connect().await?;
            let sent = connection.send(letter.envelope(), &letter.formatted()).await;
            connection.abort().await;
            sent.map(|_| ()).map_err(|error| reason(&error))
        }
        .boxed()
    }
}

fn reason(error: &lettre::transport::smtp::Error) -> TransportError {
    let text = error.to_string();
    let code = error.status().map(u16::from);
    // All else may be mended by the operator or pass: a full mailbox, a wrong password, a blocked address.
    if code.is_some_and(|code| LASTING_CODES.contains(&code)) {
        TransportError::Lasting(text)
    } else {
        TransportError::Passing(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_an_address_with_or_without_a_name() {
        for from in ["noreply@example.com", "My PDS <noreply@example.com>", "\"A, B\" <a@example.com>"] {
            assert!(sender(from).is_ok(), "{from}");
        }
        for from in ["", "nobody", "a@example.com\r\nBcc: b@example.com", "a@example.com, b@example.com"] {
            assert!(sender(from).is_err(), "{from}");
        }
    }
}
