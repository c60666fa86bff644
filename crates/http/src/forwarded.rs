//! The grammar of `X-Forwarded-For` and of `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239#section-4)).
//!
//! Reads addresses and decides nothing: whether a hop is believed is [`super::address`]'s business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, HeaderName};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED: HeaderName = HeaderName::from_static("forwarded");

/// Tells whether a request says whom it is forwarded for.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.contains_key(X_FORWARDED_FOR) || headers.contains_key(FORWARDED)
}

/// Calls `hop` with each address a request was forwarded for, the nearest hop first, until it answers `false`. A hop
/// without a readable address is `None`.
///
/// `Forwarded` is read only where there is no `X-Forwarded-For`: the usual proxies write the latter, and pass on
/// whatever the client wrote in the former.
pub fn each_hop(headers: &HeaderMap, mut hop: impl FnMut(Option<IpAddr>) -> bool) {
    let is_old = headers.contains_key(X_FORWARDED_FOR);
    let name = if is_old { X_FORWARDED_FOR } else { FORWARDED };
    for line in headers.get_all(name).into_iter().rev() {
        let Ok(line) = line.to_str() else {
            hop(None);
            return;
        };
        let goes_on = if is_old {
            line.rsplit(',').all(|node| hop(address(unquoted(node))))
        } else {
            match elements(line) {
                Some(elements) => elements.iter().rev().all(|node| hop(node.and_then(address))),
                None => hop(None),
            }
        };
        if !goes_on {
            return;
        }
    }
}

fn unquoted(text: &str) -> &str {
    let text = text.trim_matches([' ', '\t']);
    text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text)
}

/// Reads a node: an address, with or without brackets and port. `unknown` and obfuscated names are none.
fn address(node: &str) -> Option<IpAddr> {
    if let Ok(address) = node.parse::<IpAddr>() {
        return Some(address.to_canonical());
    }
    if let Some(rest) = node.strip_prefix('[') {
        let (address, port) = rest.split_once(']')?;
        let address = address.parse::<Ipv6Addr>().ok()?;
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return is_port.then(|| IpAddr::V6(address).to_canonical());
    }
    let (address, port) = node.split_once(':')?;
    let address = address.parse::<Ipv4Addr>().ok()?;
    is_port(port).then_some(IpAddr::V4(address))
}

/// Whether this is a port, by number or obfuscated.
fn is_port(text: &str) -> bool {
    match text.strip_prefix('_') {
        Some(name) => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
        None => (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()),
    }
}

/// Reads the `for` of each element of a line of `Forwarded`; `None` when the line breaks the grammar anywhere. So an
/// open quote that a client wrote can't swallow what a proxy wrote behind it and leave something readable.
fn elements(line: &str) -> Option<Vec<Option<&str>>> {
    let mut elements = Vec::new();
    let mut rest = line;
    loop {
        let (node, after) = element(rest)?;
        elements.push(node);
        match after {
            Some(after) => rest = after,
            None => return Some(elements),
        }
    }
}

/// Reads one element, and gives what follows its comma.
fn element(text: &str) -> Option<(Option<&str>, Option<&str>)> {
    let mut node = None;
    let mut rest = text.trim_start_matches([' ', '\t']);
    loop {
        if !rest.starts_with([';', ',']) && !rest.is_empty() {
            let (name, after) = rest.split_once('=')?;
            if name.is_empty() || !name.bytes().all(is_token) {
                return None;
            }
            let (value, after) = value(after)?;
            if name.eq_ignore_ascii_case("for") && node.replace(value).is_some() {
                return None;
            }
            rest = after.trim_start_matches([' ', '\t']);
        }
        if let Some(after) = rest.strip_prefix(';') {
            rest = after.trim_start_matches([' ', '\t']);
        } else if let Some(after) = rest.strip_prefix(',') {
            return Some((node, Some(after)));
        } else {
            return rest.is_empty().then_some((node, None));
        }
    }
}

/// Reads a token or a quoted string. An escape stays as it is: no address needs one.
fn value(text: &str) -> Option<(&str, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.bytes().position(|b| !is_token(b)).unwrap_or(text.len());
        return text.split_at_checked(end).filter(|(value, _)| !value.is_empty());
    };
    let mut is_escaped = false;
    let end = quoted.bytes().position(|b| {
        let is_end = b == b'"' && !is_escaped;
        is_escaped = b == b'\\' && !is_escaped;
        is_end
    })?;
    let (value, rest) = quoted.split_at_checked(end)?;
    Some((value, rest.strip_prefix('"')?))
}

/// Whether a byte may stand in a token; `:` too, which senders leave unquoted in `for=192.0.2.1:4711`.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:".contains(&byte)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn hops(name: &'static str, lines: &[&str]) -> Vec<Option<String>> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(name, HeaderValue::from_str(line).unwrap());
        }
        let mut hops = Vec::new();
        each_hop(&headers, |hop| {
            hops.push(hop.map(|address| address.to_string()));
            true
        });
        hops
    }

    #[test]
    fn every_form_of_an_address_is_read() {
        for (text, address) in [
            ("203.0.113.9", Some("203.0.113.9")),
            (" 203.0.113.9\t", Some("203.0.113.9")),
            ("203.0.113.9:4711", Some("203.0.113.9")),
            ("\"203.0.113.9:4711\"", Some("203.0.113.9")),
            ("2001:db8::1", Some("2001:db8::1")),
            ("[2001:db8::1]", Some("2001:db8::1")),
            ("[2001:DB8::1]:4711", Some("2001:db8::1")),
            ("\"[2001:db8::1]:_p\"", Some("2001:db8::1")),
            ("::ffff:203.0.113.9", Some("203.0.113.9")),
            ("[::ffff:203.0.113.9]:80", Some("203.0.113.9")),
            ("unknown", None),
            ("_hidden", None),
            ("", None),
            ("203.0.113.9:", None),
            ("203.0.113.9:123456", None),
            ("203.0.113.9:80:90", None),
            ("203.0.113.256", None),
            ("0203.0.113.9", None),
            ("fe80::1%eth0", None),
            ("[2001:db8::1", None),
            ("[203.0.113.9]:80", None),
            ("\"203.0.113.9", None),
            ("unix:", None),
            ("alice.test", None),
        ] {
            assert_eq!(hops("x-forwarded-for", &[text]), [address.map(str::to_owned)], "{text:?}");
        }
    }

    #[test]
    fn the_nearest_hop_comes_first() {
        let told = |text: &str| Some(text.to_owned());
        assert_eq!(
            hops("x-forwarded-for", &["198.51.100.1, nobody", "198.51.100.2,198.51.100.3"]),
            [told("198.51.100.3"), told("198.51.100.2"), None, told("198.51.100.1")]
        );
        let lines = ["For=198.51.100.1;proto=http;by=10.0.0.1, for=unknown", "proto=https, for=\"[2001:db8::1]:80\""];
        assert_eq!(hops("forwarded", &lines), [told("2001:db8::1"), None, None, told("198.51.100.1")]);
    }

    #[test]
    fn a_line_that_breaks_the_grammar_tells_nothing() {
        for line in [
            "for=\"x, for=198.51.100.1",
            "for=\"x, for=\"[2001:db8::1]\"",
            "for=\"x\\, for=\"[2001:db8::1]\"",
            "for=198.51.100.1;for=198.51.100.2",
            "for",
            "for=",
            "=198.51.100.1",
            "for=198.51.100.1 198.51.100.2",
            "for = 198.51.100.1",
        ] {
            assert_eq!(hops("forwarded", &[line]), [None], "{line:?}");
        }
        assert_eq!(hops("forwarded", &["", ";;for=\"a\\\"b\"", ";for=198.51.100.1;"]).len(), 3);
    }

    #[test]
    fn what_the_usual_proxies_write_wins() {
        let mut headers = HeaderMap::new();
        headers.append("forwarded", HeaderValue::from_static("for=198.51.100.1"));
        headers.append("x-forwarded-for", HeaderValue::from_static("198.51.100.2"));
        let mut seen = Vec::new();
        each_hop(&headers, |hop| {
            seen.extend(hop.map(|address| address.to_string()));
            true
        });
        assert_eq!(seen, ["198.51.100.2"]);
    }
}
