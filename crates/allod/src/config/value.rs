//! What a setting's value can be, and how each kind is read from text or TOML.

use std::{net::IpAddr, path::PathBuf, str::FromStr};

use allod_atproto::{Did, Handle, crypto::DidKey};
use allod_base::secret::Secret;
use allod_http::address::TrustedProxies;
use data_encoding::HEXLOWER_PERMISSIVE;
use ipnet::IpNet;
use url::Url;

/// A value as its source gives it: the environment has text only, TOML has types.
#[derive(Clone)]
pub(crate) enum Raw {
    /// Text; from the environment it may stand for any type.
    Text(String),
    /// TOML's `true` or `false`.
    Boolean(bool),
    /// TOML's integer.
    Integer(i64),
    /// TOML's array of strings.
    List(Vec<String>),
}

/// A type a setting can have.
pub(crate) trait FromRaw: Sized {
    /// What a value is, for messages.
    const KIND: &'static str;
    /// Whether values must not be shown.
    const SECRET: bool = false;

    /// Reads a value; the error says what is wrong with it and never repeats a secret.
    fn from_raw(raw: &Raw) -> Result<Self, String>;

    /// Renders the value for `allod config check`.
    fn show(&self) -> String;
}

impl Raw {
    pub(super) fn text(&self) -> Result<&str, String> {
        match self {
            Self::Text(text) => Ok(text),
            Self::Boolean(_) | Self::Integer(_) | Self::List(_) => Err("must be a string".to_owned()),
        }
    }

    /// The parts of a list, which in text stand between commas. `kind` says what it should be.
    fn parts(&self, kind: &str) -> Result<Vec<&str>, String> {
        match self {
            Self::Text(text) => Ok(text.split(',').map(str::trim).collect()),
            Self::List(parts) => Ok(parts.iter().map(String::as_str).collect()),
            Self::Boolean(_) | Self::Integer(_) => Err(format!("must be {kind}")),
        }
    }
}

impl FromRaw for String {
    const KIND: &'static str = "text";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        raw.text().map(str::to_owned)
    }

    fn show(&self) -> String {
        self.clone()
    }
}

impl FromRaw for bool {
    const KIND: &'static str = "true or false";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        match raw {
            Raw::Boolean(value) => Ok(*value),
            Raw::Text(text) if text == "true" || text == "1" => Ok(true),
            Raw::Text(text) if text == "false" || text == "0" => Ok(false),
            Raw::Text(text) => Err(format!("must be true, 1, false or 0, not {text:?}")),
            Raw::Integer(_) | Raw::List(_) => Err("must be true or false".to_owned()),
        }
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

fn integer<T: TryFrom<i64>>(raw: &Raw, kind: &str) -> Result<T, String> {
    let value = match raw {
        Raw::Integer(value) => *value,
        Raw::Text(text) => text.parse().map_err(|_| format!("must be {kind}, not {text:?}"))?,
        Raw::Boolean(_) | Raw::List(_) => return Err(format!("must be {kind}")),
    };
    T::try_from(value).map_err(|_| format!("must be {kind}, not {value}"))
}

impl FromRaw for u16 {
    const KIND: &'static str = "a port number (0 to 65535)";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        integer(raw, Self::KIND)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl FromRaw for u64 {
    const KIND: &'static str = "a whole number";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        integer(raw, Self::KIND)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl FromRaw for IpAddr {
    const KIND: &'static str = "an IP address";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        text.parse().map_err(|_| format!("must be an IP address without a port, not {text:?}"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl FromRaw for PathBuf {
    const KIND: &'static str = "a path";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        raw.text().map(Self::from)
    }

    fn show(&self) -> String {
        self.display().to_string()
    }
}

impl FromRaw for Did {
    const KIND: &'static str = "a DID";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        Self::parse(text).map_err(|_| format!("must be a DID, not {text:?}"))
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

impl FromRaw for DidKey {
    const KIND: &'static str = "a did:key (secp256k1 or P-256)";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        Self::parse(text).map_err(|_| format!("must be a secp256k1 or P-256 did:key, not {text:?}"))
    }

    fn show(&self) -> String {
        self.as_str().to_owned()
    }
}

fn web_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|reason| format!("must be an http or https URL, not {text:?}: {reason}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("must be an http or https URL, not {text:?}"));
    }
    Ok(url)
}

impl FromRaw for Url {
    const KIND: &'static str = "an http or https URL";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        web_url(raw.text()?)
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// An http or https URL, kept exactly as it was written because it is handed on to people.
pub(crate) struct WebAddress(pub(crate) String);

impl FromRaw for WebAddress {
    const KIND: &'static str = "an http or https URL";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        web_url(text).map(|_| Self(text.to_owned()))
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// An e-mail address that people may write to; only its shape is looked at.
pub(crate) struct EmailAddress(pub(crate) String);

impl FromRaw for EmailAddress {
    const KIND: &'static str = "an e-mail address";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        match text.split_once('@') {
            Some((local, domain)) if !local.is_empty() && !domain.is_empty() && !text.contains(char::is_whitespace) => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(format!("must be an e-mail address, not {text:?}")),
        }
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// A host name in lower case, without scheme or port.
#[derive(Clone)]
pub(crate) struct Hostname(pub(crate) String);

/// The longest host name, in characters.
const HOSTNAME_CHARS_MAX: usize = 253;

/// The longest label of a host name, in characters.
const LABEL_CHARS_MAX: usize = 63;

fn is_hostname(text: &str) -> bool {
    text.len() <= HOSTNAME_CHARS_MAX
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= LABEL_CHARS_MAX
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// Names that the public name system never gives out, with their leading dot.
/// Spec: <https://www.rfc-editor.org/rfc/rfc2606>, <https://www.rfc-editor.org/rfc/rfc6761>, RFC 6762, RFC 8375.
const PRIVATE_SUFFIXES: &[&str] = &[
    ".localhost",
    ".test",
    ".example",
    ".invalid",
    ".local",
    ".internal",
    ".home.arpa",
    ".example.com",
    ".example.net",
    ".example.org",
];

impl Hostname {
    /// Tells whether the name can only mean something on this machine or in this network: a name of one label, one under
    /// a reserved domain, or a loopback or private address.
    pub(crate) fn is_private(&self) -> bool {
        if let Ok(IpAddr::V4(address)) = self.0.parse() {
            return address.is_loopback() || address.is_private() || address.is_link_local();
        }
        !self.0.contains('.') || PRIVATE_SUFFIXES.iter().any(|suffix| format!(".{}", self.0).ends_with(suffix))
    }

    /// Tells whether this is `localhost`, the one name that is served without TLS.
    pub(crate) fn is_localhost(&self) -> bool {
        self.0 == "localhost"
    }
}

impl FromRaw for Hostname {
    const KIND: &'static str = "a host name";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        let name = text.to_ascii_lowercase();
        if is_hostname(&name) {
            Ok(Self(name))
        } else {
            Err(format!("must be a host name without scheme, port or path, like pds.example.com, not {text:?}"))
        }
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// The domains handles are given under, in lower case, each with its leading dot; at least one.
pub(crate) struct HandleDomains(pub(crate) Vec<String>);

impl HandleDomains {
    fn from_parts<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let domains = parts.filter(|part| !part.is_empty()).map(handle_domain).collect::<Result<Vec<_>, _>>()?;
        if domains.is_empty() { Err("must name at least one domain".to_owned()) } else { Ok(Self(domains)) }
    }
}

fn handle_domain(text: &str) -> Result<String, String> {
    let domain = text.to_ascii_lowercase();
    let bare = domain.strip_prefix('.').ok_or_else(|| format!("every domain must start with a dot, not {text:?}"))?;
    // A handle below it must be one: `.test` is fine, `.1` or `.-x` is not.
    if Handle::parse(&format!("a.{bare}")).is_err() {
        return Err(format!("{text:?} is not a valid domain for handles"));
    }
    Ok(domain)
}

impl FromRaw for HandleDomains {
    const KIND: &'static str = "a list of domains, each with a leading dot";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        Self::from_parts(raw.parts(Self::KIND)?.into_iter())
    }

    fn show(&self) -> String {
        self.0.join(",")
    }
}

/// Relays by their base URLs.
pub(crate) struct Relays(pub(crate) Vec<Url>);

impl Relays {
    fn from_parts<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut relays = Vec::new();
        for text in parts.filter(|text| !text.is_empty()) {
            let url = web_url(text)?;
            if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
                return Err(format!("must be base URLs like https://relay.example.com, not {text:?}"));
            }
            if !relays.contains(&url) {
                relays.push(url);
            }
        }
        Ok(Self(relays))
    }
}

impl FromRaw for Relays {
    const KIND: &'static str = "a list of https URLs";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        Self::from_parts(raw.parts(Self::KIND)?.into_iter())
    }

    fn show(&self) -> String {
        self.0.iter().map(Url::as_str).collect::<Vec<_>>().join(",")
    }
}

/// Addresses and networks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Networks(pub(crate) Vec<IpNet>);

impl Networks {
    fn from_parts<'a>(parts: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let network = |part: &str| {
            let address = part.parse::<IpAddr>().map(|address| IpNet::from(address.to_canonical()));
            address.or_else(|_| part.parse::<IpNet>()).map_err(|_| format!("{part:?} is not an IP address or network"))
        };
        parts.filter(|part| !part.is_empty()).map(network).collect::<Result<_, _>>().map(Self)
    }
}

impl FromRaw for Networks {
    const KIND: &'static str = "a list of IP addresses and networks";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        Self::from_parts(raw.parts(Self::KIND)?.into_iter())
    }

    fn show(&self) -> String {
        self.0.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
    }
}

impl FromRaw for TrustedProxies {
    const KIND: &'static str = "a list of IP addresses, networks and the words loopback, private and none";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        Self::parse(raw.parts(Self::KIND)?.into_iter())
    }

    fn show(&self) -> String {
        self.to_string()
    }
}

/// What is shown where a secret would stand.
const REDACTED: &str = "(secret)";

impl FromRaw for Secret<String> {
    const KIND: &'static str = "a secret text";
    const SECRET: bool = true;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        raw.text().map(|text| Self::new(text.to_owned()))
    }

    fn show(&self) -> String {
        REDACTED.to_owned()
    }
}

impl FromRaw for Secret<[u8; 32]> {
    const KIND: &'static str = "a secret of 64 hexadecimal digits";
    const SECRET: bool = true;

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        let bytes = HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self::new).ok_or_else(|| format!("must be 64 hexadecimal digits ({} characters given)", text.len()))
    }

    fn show(&self) -> String {
        REDACTED.to_owned()
    }
}

/// What is logged, in `tracing`'s filter language.
pub(crate) struct LogFilter(pub(crate) String);

impl FromRaw for LogFilter {
    const KIND: &'static str = "a log filter";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        let text = raw.text()?;
        tracing_subscriber::EnvFilter::from_str(text).map(|_| Self(text.to_owned())).map_err(|reason| {
            format!("must be a log filter like info or info,allod_server=debug, not {text:?}: {reason}")
        })
    }

    fn show(&self) -> String {
        self.0.clone()
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl FromRaw for LogFormat {
    const KIND: &'static str = "text or json";

    fn from_raw(raw: &Raw) -> Result<Self, String> {
        match raw.text()? {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("must be text or json, not {other:?}")),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Json => "json".to_owned(),
        }
    }
}
