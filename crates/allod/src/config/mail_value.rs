//! The settings about mail: where the mail server is, and whom letters are from.

use std::{net::IpAddr, path::PathBuf};

use allod_base::secret::Secret;
use allod_server::adapters::smtp::{self, SmtpTls};
use percent_encoding::percent_decode_str;
use url::Url;

use super::value::{FromRaw, Raw};

const SMTP_PORT: u16 = 587;
const SMTPS_PORT: u16 = 465;

/// The command that hands mail to this machine's mail server, found by `PATH`.
const SENDMAIL: &str = "sendmail";

/// Where mail goes.
#[derive(Clone)]
pub(crate) enum SmtpUrl {
    /// To a mail server.
    Server(SmtpServer),
    /// To this machine's `sendmail`, by its name or path.
    Sendmail(PathBuf),
}

/// A mail server's address, with user and password.
#[derive(Clone)]
pub(crate) struct SmtpServer {
    /// Its host name or address.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// How the connection is protected.
    pub(crate) tls: SmtpTls,
    /// User and password.
    pub(crate) credentials: Option<(String, Secret<String>)>,
}

/// What is said of a user or password with characters that end it for a URL.
const PERCENT_ENCODE: &str =
    "user and password must be percent-encoded: write / as %2F, # as %23, ? as %3F, @ as %40, : as %3A and % as %25";

impl FromRaw for SmtpUrl {
    const KIND: &'static str = "an smtp or smtps URL, secret";
    const SECRET: bool = true;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        check_encoded(text)?;
        let url = Url::parse(text).map_err(|reason| format!("must be an smtp or smtps URL: {reason}"))?;
        let is_implicit = match url.scheme() {
            "smtps" => true,
            // Its server says nothing before the client does, in TLS.
            "smtp" => url.port() == Some(SMTPS_PORT),
            other => return Err(format!("must be an smtp or smtps URL, not {other}")),
        };
        if url.query_pairs().any(|pair| pair == ("sendmail".into(), "true".into())) {
            return sendmail(&url);
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the URL has no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let user = decoded(url.username())?;
        let credentials = match url.password() {
            Some(password) if !user.is_empty() => Some((user, Secret::new(decoded(password)?))),
            None if user.is_empty() => None,
            Some(_) | None => return Err("user and password must be set together".to_owned()),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err("only `?tls=` may follow the host and the port".to_owned());
        }
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let usual = match (is_implicit, &credentials) {
            (true, _) => SmtpTls::Implicit,
            (false, Some(_)) if !is_here => SmtpTls::Required,
            (false, _) => SmtpTls::Opportunistic,
        };
        let tls = url.query_pairs().try_fold(usual, |_, (key, value)| match (&*key, &*value) {
            ("tls", "required") | ("requireTLS", "true") => Ok(if is_implicit { usual } else { SmtpTls::Required }),
            ("tls", "none") | ("ignoreTLS", "true") if !is_implicit => Ok(SmtpTls::None),
            ("tls", "opportunistic") if !is_implicit => Ok(SmtpTls::Opportunistic),
            ("secure", "true") => Ok(SmtpTls::Implicit),
            _ => {
                Err(format!("`?{key}=` is not supported: use tls=required, or with smtp tls=opportunistic or tls=none"))
            }
        })?;
        let port = url.port().unwrap_or(if tls == SmtpTls::Implicit { SMTPS_PORT } else { SMTP_PORT });
        Ok(Self::Server(SmtpServer { host, port, tls, credentials }))
    }

    fn show(&self) -> String {
        let server = match self {
            Self::Sendmail(command) => return format!("the command {}", command.display()),
            Self::Server(server) => server,
        };
        let user = if server.credentials.is_some() { ", with a password" } else { "" };
        let tls = match server.tls {
            SmtpTls::Implicit => "TLS",
            SmtpTls::Required => "STARTTLS",
            SmtpTls::Opportunistic => "STARTTLS if available",
            SmtpTls::None => "no TLS",
        };
        format!("{}:{}, {tls}{user}", server.host, server.port)
    }
}

/// Reads `smtp:///?sendmail=true`, and `&path=` behind it.
fn sendmail(url: &Url) -> Result<SmtpUrl, String> {
    if url.host_str().is_some_and(|host| !host.is_empty()) || !matches!(url.path(), "" | "/") {
        return Err("sendmail takes no host: write smtp:///?sendmail=true".to_owned());
    }
    let mut command = PathBuf::from(SENDMAIL);
    for (key, value) in url.query_pairs() {
        match (&*key, &*value) {
            ("sendmail", "true") => {}
            ("path", path) if path.starts_with('/') => command = path.into(),
            _ => return Err(format!("with sendmail=true only path=/path/of/sendmail is allowed, not {key}=")),
        }
    }
    Ok(SmtpUrl::Sendmail(command))
}

/// Refuses a URL whose user or password has characters that end it: the host would be taken out of the password.
fn check_encoded(text: &str) -> Result<(), String> {
    let Some((_, rest)) = text.split_once("://") else { return Ok(()) };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, behind) = rest.split_at(authority_end);
    // A user's @ is the only one that there may be, and it comes before everything that ends the authority.
    let is_cut_off = behind.contains('@') && authority.contains(':') && !authority.contains('@');
    if authority.matches('@').count() > 1 || is_cut_off {
        return Err(PERCENT_ENCODE.to_owned());
    }
    Ok(())
}

fn decoded(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(std::borrow::Cow::into_owned).map_err(|_| "user and password must be UTF-8, percent-encoded".to_owned())
}

/// Whom letters are from.
#[derive(Clone)]
pub(crate) struct Sender(pub(crate) String);

impl FromRaw for Sender {
    const KIND: &'static str = "an e-mail address, or a name and an address in angle brackets";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        smtp::sender(text).map_err(|error| error.to_string())?;
        Ok(Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<SmtpUrl, String> {
        SmtpUrl::from_raw(&Raw::Text(text.to_owned()))
    }

    fn server(text: &str) -> SmtpServer {
        match read(text).unwrap() {
            SmtpUrl::Server(server) => server,
            SmtpUrl::Sendmail(command) => panic!("{text}: {}", command.display()),
        }
    }

    #[test]
    fn sendmail_is_a_command_of_this_machine() {
        for (url, command) in [
            ("smtp:///?sendmail=true", "sendmail"),
            ("smtp://?sendmail=true", "sendmail"),
            ("smtp:///?sendmail=true&path=/usr/sbin/sendmail", "/usr/sbin/sendmail"),
        ] {
            assert_eq!(read(url).map(|url| url.show()), Ok(format!("the command {command}")), "{url}");
        }
        for url in
            ["smtp://host/?sendmail=true", "smtp:///?sendmail=true&path=sendmail", "smtp:///?sendmail=true&tls=none"]
        {
            assert!(read(url).is_err(), "{url}");
        }
    }

    #[test]
    fn characters_that_cut_a_password_off_are_named() {
        for password in ["a/b", "a#b", "a?b", "a@b", "12/b", "/", "a/?#@"] {
            for url in
                [format!("smtps://user:{password}@mail.example.com:465"), format!("smtp://u%40x:{password}@host/")]
            {
                let error = read(&url).err().unwrap_or_default();
                assert!(error.contains("percent-encoded") && error.contains("%2F"), "{url}: {error}");
                assert!(!error.contains(password) || password == "/", "{url}: a secret is repeated: {error}");
            }
        }
        assert_eq!(server("smtps://user:a%2Fb%23%3F%40@mail.example.com").credentials.unwrap().1.expose(), "a/b#?@");
    }

    #[test]
    fn says_how_it_is_protected() {
        for (url, port, tls) in [
            ("smtps://resend:key@smtp.resend.com:465/", 465, SmtpTls::Implicit),
            ("smtps://smtp.example.com", 465, SmtpTls::Implicit),
            ("smtp://a:b@smtp.example.com", 587, SmtpTls::Required),
            ("smtp://a:b@smtp.example.com:465", 465, SmtpTls::Implicit),
            ("smtp://smtp.example.com:25", 25, SmtpTls::Opportunistic),
            ("smtp://a:b@127.0.0.1:1025", 1025, SmtpTls::Opportunistic),
            ("smtp://a:b@smtp.example.com?tls=none", 587, SmtpTls::None),
            ("smtp://smtp.example.com?tls=required", 587, SmtpTls::Required),
            ("smtp://smtp.example.com?secure=true", 465, SmtpTls::Implicit),
        ] {
            let read = server(url);
            assert_eq!((read.port, read.tls), (port, tls), "{url}");
        }
    }

    #[test]
    fn user_and_password_are_decoded_and_not_shown() {
        let url = "smtps://me%40example.com:p%3Ass@mail.example.com";
        let (user, password) = server(url).credentials.unwrap();
        assert_eq!((user.as_str(), password.expose().as_str()), ("me@example.com", "p:ss"));
        assert_eq!(read(url).unwrap().show(), "mail.example.com:465, TLS, with a password");
    }

    #[test]
    fn refuses_what_would_not_do_what_it_says() {
        for url in [
            "https://smtp.example.com",
            "smtp:",
            "smtp://user@smtp.example.com",
            "smtps://smtp.example.com?tls=none",
            "smtp://smtp.example.com?tls=maybe",
            "smtp://smtp.example.com/path",
            "not a URL",
        ] {
            assert!(read(url).is_err(), "{url}");
        }
    }
}
