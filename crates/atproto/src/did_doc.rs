//! DID documents: what they say about an account's handle, key and server.
//!
//! A document is kept as it was received. What it claims is read from it on demand and nothing is
//! believed that is not well-formed; whether a handle points back is for the caller to find out.
//!
//! Spec: <https://atproto.com/specs/did#did-documents>

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value as Json, json};

use crate::crypto::{Curve, DidKey};
use crate::json::{self, Limits};
use crate::syntax::{Did, Handle};

/// The largest document that is read, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

const SIGNING_KEY_ID: &str = "atproto";
const PDS_ID: &str = "atproto_pds";
const PDS_TYPE: &str = "AtprotoPersonalDataServer";

/// A DID document, known to be about the DID that it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DidDocument {
    id: Did,
    json: Json,
}

/// A text that is no DID document, or one about another DID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DidDocumentError {
    /// Beyond [`DOCUMENT_BYTES_MAX`].
    #[error("DID document is larger than 64 KiB")]
    Size,
    /// Not JSON, or not an object with an `id` that is a DID.
    #[error("DID document is malformed")]
    Malformed,
    /// About another DID than the one asked for.
    #[error("DID document is about another DID")]
    WrongId,
}

impl DidDocument {
    /// Reads the bytes of the document of `expected`.
    pub fn parse(bytes: &[u8], expected: &Did) -> Result<Self, DidDocumentError> {
        if bytes.len() > DOCUMENT_BYTES_MAX {
            return Err(DidDocumentError::Size);
        }
        let json = json::parse(bytes, &Limits::bytes(DOCUMENT_BYTES_MAX)).map_err(|_| DidDocumentError::Malformed)?;
        Self::from_json(json, expected)
    }

    /// Takes the JSON of the document of `expected`.
    pub fn from_json(json: Json, expected: &Did) -> Result<Self, DidDocumentError> {
        let document = Self::about_any(json)?;
        if document.id == *expected { Ok(document) } else { Err(DidDocumentError::WrongId) }
    }

    /// Writes the document that a PLC directory gives for an account's data.
    ///
    /// `verification_methods` are pairs of name and `did:key`, `services` triples of name, type and
    /// endpoint. Spec: <https://web.plc.directory/spec/v0.1/did-plc#presentation-as-did-document>
    pub fn from_plc_data<'a>(
        did: &Did,
        also_known_as: impl IntoIterator<Item = &'a str>,
        verification_methods: impl IntoIterator<Item = (&'a str, &'a str)>,
        services: impl IntoIterator<Item = (&'a str, &'a str, &'a str)>,
    ) -> Self {
        let mut contexts = vec!["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"];
        let mut methods = Vec::new();
        for (name, key) in verification_methods {
            let suite = DidKey::parse(key).ok().map(|key| match key.curve() {
                Curve::K256 => "https://w3id.org/security/suites/secp256k1-2019/v1",
                Curve::P256 => "https://w3id.org/security/suites/ecdsa-2019/v1",
            });
            contexts.extend(suite.filter(|suite| !contexts.contains(suite)));
            methods.push(json!({
                "id": format!("{did}#{name}"),
                "type": "Multikey",
                "controller": did,
                "publicKeyMultibase": key.strip_prefix("did:key:").unwrap_or(key),
            }));
        }
        let services: Vec<Json> = services
            .into_iter()
            .map(|(name, kind, endpoint)| json!({"id": format!("#{name}"), "type": kind, "serviceEndpoint": endpoint}))
            .collect();
        let also_known_as: Vec<&str> = also_known_as.into_iter().collect();
        let json = json!({
            "@context": contexts,
            "id": did,
            "alsoKnownAs": also_known_as,
            "verificationMethod": methods,
            "service": services,
        });
        Self { id: did.clone(), json }
    }

    /// The DID that the document is about.
    pub fn id(&self) -> &Did {
        &self.id
    }

    /// The handle claimed: the first of the `alsoKnownAs` that is one. It holds only if it resolves
    /// to this DID.
    pub fn handle(&self) -> Option<Handle> {
        self.list("alsoKnownAs").find_map(|name| Handle::parse(name.as_str()?.strip_prefix("at://")?).ok())
    }

    /// The key that signs the account's repository and tokens.
    pub fn signing_key(&self) -> Option<DidKey> {
        self.key(SIGNING_KEY_ID)
    }

    /// The first sound key with the fragment given, such as `atproto` or `atproto_label`.
    pub fn key(&self, fragment: &str) -> Option<DidKey> {
        self.list("verificationMethod")
            .filter(|method| {
                self.has_fragment(method, fragment) && text(method, "controller") == Some(self.id.as_str())
            })
            .find_map(parse_key)
    }

    /// The origin of the account's server: scheme, host and at most a port.
    pub fn pds_endpoint(&self) -> Option<&str> {
        self.list("service")
            .filter(|service| self.has_fragment(service, PDS_ID) && text(service, "type") == Some(PDS_TYPE))
            .filter_map(|service| text(service, "serviceEndpoint"))
            .map(|endpoint| endpoint.strip_suffix('/').unwrap_or(endpoint))
            .find(|endpoint| is_origin(endpoint))
    }

    /// The HTTP address of the first service with the fragment given, such as `bsky_appview`, and
    /// with the type given if one is.
    pub fn service(&self, fragment: &str, kind: Option<&str>) -> Option<&str> {
        self.list("service")
            .filter(|service| self.has_fragment(service, fragment))
            .filter(|service| kind.is_none() || text(service, "type") == kind)
            .find_map(|service| text(service, "serviceEndpoint").filter(|endpoint| host_part(endpoint).is_some()))
    }

    /// The document as it was received.
    pub fn json(&self) -> &Json {
        &self.json
    }

    /// The document as it was received.
    pub fn into_json(self) -> Json {
        self.json
    }

    fn about_any(json: Json) -> Result<Self, DidDocumentError> {
        let id = text(&json, "id").and_then(|id| Did::parse(id).ok()).ok_or(DidDocumentError::Malformed)?;
        Ok(Self { id, json })
    }

    fn list(&self, key: &str) -> impl Iterator<Item = &Json> {
        self.json.get(key).and_then(Json::as_array).into_iter().flatten()
    }

    /// Tells whether the entry's `id` is `#fragment`, with the DID before it or without.
    fn has_fragment(&self, entry: &Json, fragment: &str) -> bool {
        let id = text(entry, "id").unwrap_or_default();
        id.strip_prefix(self.id.as_str()).unwrap_or(id).strip_prefix('#') == Some(fragment)
    }
}

fn text<'a>(entry: &'a Json, key: &str) -> Option<&'a str> {
    entry.get(key)?.as_str()
}

fn parse_key(method: &Json) -> Option<DidKey> {
    let multibase = text(method, "publicKeyMultibase")?;
    let key = match text(method, "type")? {
        "Multikey" => DidKey::from_multibase(multibase),
        "EcdsaSecp256k1VerificationKey2019" => DidKey::from_legacy_multibase(Curve::K256, multibase),
        "EcdsaSecp256r1VerificationKey2019" => DidKey::from_legacy_multibase(Curve::P256, multibase),
        _ => return None,
    };
    key.ok()
}

/// What follows the scheme of an HTTP address, if it begins with a host.
fn host_part(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let starts_with_host = rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
    (starts_with_host && !rest.contains(|c: char| c.is_whitespace() || c.is_control())).then_some(rest)
}

/// Tells whether the address is a scheme, a host and at most a port.
fn is_origin(url: &str) -> bool {
    let Some(rest) = host_part(url) else { return false };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let is_address = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).is_some_and(is_ipv6);
    let is_name = if ends_in_a_number(host) {
        host.parse::<std::net::Ipv4Addr>().is_ok()
    } else {
        host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-'))
    };
    (is_address || is_name) && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

/// Tells whether a host is read as an IPv4 address, in whatever of its forms, and not as a name.
///
/// Spec: <https://url.spec.whatwg.org/#ends-in-a-number-checker>
fn ends_in_a_number(host: &str) -> bool {
    let last = host.strip_suffix('.').unwrap_or(host).rsplit('.').next().unwrap_or_default();
    let hexadecimal = last.strip_prefix("0x").or_else(|| last.strip_prefix("0X"));
    (!last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()))
        || hexadecimal.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn is_ipv6(host: &str) -> bool {
    host.parse::<std::net::Ipv6Addr>().is_ok()
}

impl Serialize for DidDocument {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.json.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for DidDocument {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::about_any(Json::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DID: &str = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
    const KEY: &str = "did:key:zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF";

    fn document(json: Json) -> DidDocument {
        DidDocument::from_json(json, &Did::parse(DID).unwrap()).unwrap()
    }

    fn plc(endpoint: &str) -> DidDocument {
        DidDocument::from_plc_data(
            &Did::parse(DID).unwrap(),
            ["https://example.com", "at://alice.test/x", "at://Alice.Test", "at://second.test"],
            [("atproto", KEY)],
            [("atproto_pds", PDS_TYPE, endpoint)],
        )
    }

    #[test]
    fn reads_what_the_directory_writes() {
        let document = plc("https://pds.example.com");
        assert_eq!(document.handle().unwrap(), "alice.test");
        assert_eq!(document.signing_key().unwrap().as_str(), KEY);
        assert_eq!(document.pds_endpoint(), Some("https://pds.example.com"));
        let bytes = serde_json::to_vec(&document).unwrap();
        assert_eq!(DidDocument::parse(&bytes, document.id()), Ok(document));
    }

    #[test]
    fn refuses_a_document_about_another() {
        let json = json!({ "id": "did:plc:other" });
        assert_eq!(DidDocument::from_json(json, &Did::parse(DID).unwrap()), Err(DidDocumentError::WrongId));
        let expected = Did::parse(DID).unwrap();
        assert_eq!(DidDocument::parse(b"[1]", &expected), Err(DidDocumentError::Malformed));
        assert_eq!(DidDocument::parse(&vec![b' '; DOCUMENT_BYTES_MAX + 1], &expected), Err(DidDocumentError::Size));
    }

    #[test]
    fn passes_over_keys_that_are_not_sound() {
        let multibase = KEY.strip_prefix("did:key:").unwrap();
        let method = |id: &str, kind: &str, controller: &str, key: &str| {
            document(json!({"id": DID, "verificationMethod": [
                {"id": id, "type": kind, "controller": controller, "publicKeyMultibase": key}
            ]}))
            .signing_key()
        };
        assert!(method("#atproto", "Multikey", DID, multibase).is_some());
        assert!(method(&format!("{DID}#atproto"), "Multikey", DID, multibase).is_some());
        assert!(method("did:plc:other#atproto", "Multikey", DID, multibase).is_none());
        assert!(method("#other", "Multikey", DID, multibase).is_none());
        assert!(method("#atproto", "JsonWebKey", DID, multibase).is_none());
        assert!(method("#atproto", "Multikey", "did:plc:other", multibase).is_none());
        assert!(method("#atproto", "Multikey", DID, "z111").is_none());
        assert!(document(json!({"id": DID, "verificationMethod": {"#atproto": 1}})).signing_key().is_none());
    }

    #[test]
    fn takes_only_origins_as_a_server() {
        for endpoint in
            ["https://a.test", "http://localhost:2583", "https://1a.test/", "https://[::1]:80", "http://127.0.0.1/"]
        {
            assert_eq!(plc(endpoint).pds_endpoint(), Some(endpoint.trim_end_matches('/')));
        }
        for endpoint in [
            "https://a.test/path",
            "https://a.test?q",
            "https://a.test#f",
            "https://user@a.test",
            "ftp://a.test",
            "https://",
            "https://a.test:99999",
            "https://a.test:",
            "https://a test",
            "http://90071992547409922583",
            "http://1.2.3.256",
            "http://127.1",
            "http://0x7f000001",
            "http://a.0x",
            "a.test",
        ] {
            assert_eq!(plc(endpoint).pds_endpoint(), None, "{endpoint}");
        }
    }

    #[test]
    fn finds_services_by_fragment_and_type() {
        let document = document(json!({"id": DID, "service": [
            {"id": "#app", "type": "A", "serviceEndpoint": "not an address"},
            {"id": "#app", "type": "B", "serviceEndpoint": "https://b.test/path"},
        ]}));
        assert_eq!(document.service("app", None), Some("https://b.test/path"));
        assert_eq!(document.service("app", Some("B")), Some("https://b.test/path"));
        assert_eq!(document.service("app", Some("A")), None);
        assert_eq!(document.service("other", None), None);
    }
}
