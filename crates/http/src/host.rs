//! Which host a request is for. The one place that decides it, out of the Host header, HTTP/2's `:authority` and the
//! authority of an absolute-form request target.
//!
//! Spec: <https://www.rfc-editor.org/rfc/rfc9112#section-3.2>, <https://www.rfc-editor.org/rfc/rfc9113#section-8.3.1>.

use std::net::{IpAddr, Ipv6Addr};

use http::{Version, header::HOST, request::Parts};

/// The host that a request is for, without port and trailing dot; upper and lower case are as they were sent.
#[derive(Debug, Clone, Copy)]
pub struct Host<'a> {
    name: &'a str,
    port: Option<u16>,
}

/// Why it can't be said which host a request is for; the text is for the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// HTTP/1.1 demands a Host header.
    #[error("The Host header is missing")]
    Missing,
    /// There are two Host headers.
    #[error("More than one Host header")]
    Repeated,
    /// It is no host name and no address, or has user information.
    #[error("The request's host is not a host name with an optional port")]
    Malformed,
    /// The Host header and the request target name different hosts.
    #[error("The Host header and the request target name different hosts")]
    Conflicting,
}

impl<'a> Host<'a> {
    /// Finds the host of a request; `None` when it names none, as HTTP/1.0 may.
    pub fn of(parts: &'a Parts) -> Result<Option<Self>, HostError> {
        let mut values = parts.headers.get_all(HOST).iter();
        let header = values.next();
        if values.next().is_some() {
            return Err(HostError::Repeated);
        }
        if header.is_none() && parts.version == Version::HTTP_11 {
            return Err(HostError::Missing);
        }
        let header = match header {
            Some(value) => Self::parse(value.to_str().map_err(|_| HostError::Malformed)?)?,
            None => None,
        };
        let Some(target) = parts.uri.authority() else { return Ok(header) };
        let target = Self::parse(target.as_str())?;
        match (header, target) {
            (Some(header), Some(target)) if !header.is_same(&target) => Err(HostError::Conflicting),
            (header, target) => Ok(target.or(header)),
        }
    }

    fn parse(text: &'a str) -> Result<Option<Self>, HostError> {
        if text.is_empty() {
            return Ok(None);
        }
        let end = if text.starts_with('[') { text.find(']').map(|end| end + 1) } else { text.find(':') };
        let (name, port) = text.split_at_checked(end.unwrap_or(text.len())).ok_or(HostError::Malformed)?;
        let port = match port.strip_prefix(':') {
            Some("") => None,
            Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits.parse().map_err(|_| HostError::Malformed)?)
            }
            None if port.is_empty() => None,
            _ => return Err(HostError::Malformed),
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        let is_good = match name.strip_prefix('[') {
            Some(v6) => v6.strip_suffix(']').is_some_and(|v6| v6.parse::<Ipv6Addr>().is_ok()),
            None => name.split('.').all(is_label),
        };
        if is_good { Ok(Some(Self { name, port })) } else { Err(HostError::Malformed) }
    }

    /// Gives the name, or the address; one of IPv6 in its brackets.
    pub fn name(&self) -> &'a str {
        self.name
    }

    /// Tells whether this is the host of that name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Gives the address, when the host is one.
    pub fn address(&self) -> Option<IpAddr> {
        match self.name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(v6) => v6.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            None => self.name.parse().ok(),
        }
    }

    /// Where one side leaves the port out, it means the usual one, which is not known here.
    fn is_same(&self, other: &Self) -> bool {
        let is_same_name = match (self.address(), other.address()) {
            (None, None) => self.is(other.name),
            (one, other) => one == other,
        };
        is_same_name && self.port.zip(other.port).is_none_or(|(one, other)| one == other)
    }
}

/// Tells whether this can be a label of a host name. An underscore is no letter of a host name, but of names in use.
fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn parts(version: Version, target: &str, hosts: &[&str]) -> Parts {
        let mut request = Request::builder().version(version).uri(target);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn the_name_is_found_wherever_it_is_written() {
        for (version, target, hosts, name) in [
            (Version::HTTP_11, "/", &["alice.test"][..], Some("alice.test")),
            (Version::HTTP_11, "/", &["alice.test:2583"], Some("alice.test")),
            (Version::HTTP_11, "/", &["alice.test.:"], Some("alice.test")),
            (Version::HTTP_11, "/", &["[::1]:80"], Some("[::1]")),
            (Version::HTTP_11, "/", &[""], None),
            (Version::HTTP_10, "/", &[], None),
            (Version::HTTP_11, "http://alice.test:2583/x", &["ALICE.test."], Some("alice.test")),
            (Version::HTTP_11, "http://[::1]/x", &["[0:0::1]:80"], Some("[::1]")),
            (Version::HTTP_2, "http://alice.test/x", &[], Some("alice.test")),
            (Version::HTTP_2, "http://alice.test/x", &["alice.test:80"], Some("alice.test")),
            (Version::HTTP_2, "/x", &["alice.test"], Some("alice.test")),
        ] {
            let parts = parts(version, target, hosts);
            let host = Host::of(&parts).unwrap_or_else(|error| panic!("{target} {hosts:?}: {error}"));
            assert_eq!(host.map(|host| host.name()), name, "{target} {hosts:?}");
        }
    }

    #[test]
    fn what_two_servers_could_understand_differently_is_refused() {
        use HostError::{Conflicting, Malformed, Missing, Repeated};
        for (version, target, hosts, error) in [
            (Version::HTTP_11, "/", &[][..], Missing),
            (Version::HTTP_11, "http://alice.test/", &[], Missing),
            (Version::HTTP_11, "/", &["a.test", "a.test"], Repeated),
            (Version::HTTP_11, "http://alice.test/", &["bob.test"], Conflicting),
            (Version::HTTP_11, "http://alice.test:80/", &["alice.test:81"], Conflicting),
            (Version::HTTP_2, "http://alice.test/", &["bob.test"], Conflicting),
            (Version::HTTP_2, "http://127.0.0.1/", &["127.0.0.2"], Conflicting),
            (Version::HTTP_11, "http://mallory@alice.test/", &["alice.test"], Malformed),
            (Version::HTTP_11, "/", &["mallory@alice.test"], Malformed),
            (Version::HTTP_11, "/", &["alice.test:80:90"], Malformed),
            (Version::HTTP_11, "/", &["alice.test:+80"], Malformed),
            (Version::HTTP_11, "/", &["alice.test:65536"], Malformed),
            (Version::HTTP_11, "/", &["alice test"], Malformed),
            (Version::HTTP_11, "/", &["alice.test, bob.test"], Malformed),
            (Version::HTTP_11, "/", &["alice.test/x"], Malformed),
            (Version::HTTP_11, "/", &["."], Malformed),
            (Version::HTTP_11, "/", &["alice..test"], Malformed),
            (Version::HTTP_11, "/", &[".alice.test"], Malformed),
            (Version::HTTP_11, "/", &["alice.test.."], Malformed),
            (Version::HTTP_11, "/", &["[::1"], Malformed),
            (Version::HTTP_11, "/", &["[::1]x"], Malformed),
            (Version::HTTP_11, "/", &["[alice]"], Malformed),
        ] {
            let parts = parts(version, target, hosts);
            assert_eq!(Host::of(&parts).map(|host| host.map(|host| host.name())), Err(error), "{target} {hosts:?}");
        }
    }

    #[test]
    fn an_address_is_told_from_a_name() {
        for (host, address) in
            [("127.0.0.1:80", Some("127.0.0.1")), ("[::1]", Some("::1")), ("localhost", None), ("1.test", None)]
        {
            let parts = parts(Version::HTTP_11, "/", &[host]);
            let found = Host::of(&parts).unwrap().unwrap().address();
            assert_eq!(found.map(|found| found.to_string()).as_deref(), address);
        }
    }
}
