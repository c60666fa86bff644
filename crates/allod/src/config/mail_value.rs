//! The settings about mail: where the mail server is, and whom letters are from.

use std::net::IpAddr;

use allod_server::{
    domain::secret::Secret,
    smtp::{self, SmtpTls},
};
use percent_encoding::percent_decode_str;
use url::Url;

use super::value::{FromRaw, Raw};

const SMTP_PORT: u16 = 587;
const SMTPS_PORT: u16 = 465;

/// A mail server's address, with user and password.
#[derive(Clone)]
pub(crate) struct SmtpUrl {
    /// Its host name or address.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: u16,
    /// How the connection is protected.
    pub(crate) tls: SmtpTls,
    /// User and password.
    pub(crate) credentials: Option<(String, Secret<String>)>,
}

impl FromRaw for SmtpUrl {
    const KIND: &'static str = "an smtp or smtps URL, secret";
    const SECRET: bool = true;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let url = Url::parse(raw.text()?).map_err(|reason| format!("must be an smtp or smtps URL: {reason}"))?;
        let is_implicit = match url.scheme() {
            "smtps" => true,
            // Its server says nothing before the client does, in TLS.
            "smtp" => url.port() == Some(SMTPS_PORT),
            other => return Err(format!("must be an smtp or smtps URL, not {other}")),
        };
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or("the URL has no host")?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let user = decoded(url.username())?;
        let credentials = match url.password() {
            Some(password) if !user.is_empty() => Some((user, Secret::new(decoded(password)?))),
            None if user.is_empty() => None,
            Some(_) | None => return Err("user and password go together".to_owned()),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err("nothing belongs behind the host and the port but `?tls=`".to_owned());
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
            _ => Err(format!(
                "`?{key}=` can only be tls=required, tls=opportunistic or tls=none, which is for smtp alone"
            )),
        })?;
        let port = url.port().unwrap_or(if tls == SmtpTls::Implicit { SMTPS_PORT } else { SMTP_PORT });
        Ok(Self { host, port, tls, credentials })
    }

    fn show(&self) -> String {
        let user = if self.credentials.is_some() { ", with a password" } else { "" };
        let tls = match self.tls {
            SmtpTls::Implicit => "TLS",
            SmtpTls::Required => "STARTTLS",
            SmtpTls::Opportunistic => "STARTTLS if there is",
            SmtpTls::None => "no TLS",
        };
        format!("{}:{}, {tls}{user}", self.host, self.port)
    }
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
            let read = read(url).unwrap();
            assert_eq!((read.port, read.tls), (port, tls), "{url}");
        }
    }

    #[test]
    fn user_and_password_are_decoded_and_not_shown() {
        let read = read("smtps://me%40example.com:p%3Ass@mail.example.com").unwrap();
        let (user, password) = read.credentials.clone().unwrap();
        assert_eq!((user.as_str(), password.expose().as_str()), ("me@example.com", "p:ss"));
        assert_eq!(read.show(), "mail.example.com:465, TLS, with a password");
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
