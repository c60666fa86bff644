//! Which handles an account here may have.

use allod_atproto::{Did, Handle};
use allod_base::clock::{self, MICROS_PER_SEC};

use super::homographs;

/// The shortest front part of a handle under a service domain, in characters.
pub const FRONT_CHARS_MIN: usize = 3;
/// The longest front part of a handle under a service domain, in characters.
pub const FRONT_CHARS_MAX: usize = 18;

const DISALLOWED_TLDS: &[&str] = &["alt", "arpa", "example", "internal", "invalid", "local", "localhost", "onion"];

/// Front parts that nobody gets by signing up: the protocol's own words, names of services and roles.
const RESERVED_FRONTS: &str = include_str!("reserved_handles.txt");

/// Why a handle can't be had.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum HandleError {
    /// It is no handle, or breaks a rule of the service's domains.
    #[error("{0}")]
    Invalid(String),
    /// Nobody may have it.
    #[error("Reserved handle")]
    Reserved,
}

/// A handle that may be asked for, and whose domain it is under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AdmissibleHandle {
    /// Under one of the service's domains.
    Service(Handle),
    /// Under a domain of its owner's, who must prove it.
    Own(Handle),
}

impl AdmissibleHandle {
    /// The handle itself.
    pub fn handle(&self) -> &Handle {
        match self {
            Self::Service(handle) | Self::Own(handle) => handle,
        }
    }
}

/// Which handles the accounts of a server may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandlePolicy {
    domains: Vec<String>,
    hold_secs: u64,
}

impl HandlePolicy {
    /// Gives handles under `domains`, each with its leading dot, and holds one that an account loses for `hold_secs`.
    pub fn new(domains: Vec<String>, hold_secs: u64) -> Self {
        Self { domains, hold_secs }
    }

    /// Normalises what was typed and checks it against the rules. The first of the service's domains that matches
    /// decides.
    ///
    /// Spec: <https://atproto.com/specs/handle>.
    pub fn admit(&self, typed: &str) -> Result<AdmissibleHandle, HandleError> {
        self.admit_with(typed, true)
    }

    /// As [`HandlePolicy::admit`] for one that the operator gives out, who may give reserved ones.
    pub fn admit_by_operator(&self, typed: &str) -> Result<AdmissibleHandle, HandleError> {
        self.admit_with(typed, false)
    }

    fn admit_with(&self, typed: &str, reserved_refused: bool) -> Result<AdmissibleHandle, HandleError> {
        let handle = Handle::parse(typed).map_err(|e| HandleError::Invalid(e.to_string()))?;
        let tld = handle.as_str().rsplit('.').next().unwrap_or_default();
        if DISALLOWED_TLDS.contains(&tld) {
            return Err(HandleError::Invalid("Handle TLD is invalid or disallowed".to_owned()));
        }
        check_encoding(&handle)?;
        let Some(front) = self.domains.iter().find_map(|domain| handle.as_str().strip_suffix(domain.as_str())) else {
            return Ok(AdmissibleHandle::Own(handle));
        };
        check_front(front, reserved_refused)?;
        Ok(AdmissibleHandle::Service(handle))
    }

    /// The domains that handles are given under, each with its leading dot.
    pub fn domains(&self) -> &[String] {
        &self.domains
    }

    /// Tells whether a handle is under one of the service's domains.
    pub fn is_under_service_domain(&self, handle: &Handle) -> bool {
        self.domains.iter().any(|domain| handle.as_str().ends_with(domain.as_str()))
    }

    /// Until when a handle is held that its account loses now, in microseconds; none when it is free at once.
    pub fn held_until(&self, now_micros: u64) -> Option<i64> {
        let micros = self.hold_secs.saturating_mul(MICROS_PER_SEC);
        (self.hold_secs > 0).then(|| clock::to_store(now_micros.saturating_add(micros)))
    }
}

/// What a label of another script is encoded from must be known, whoever's domain it is.
fn check_encoding(handle: &Handle) -> Result<(), HandleError> {
    let mut encoded = handle.as_str().split('.').filter(|label| homographs::is_encoded(label));
    if encoded.any(|label| homographs::decode(label).is_none()) {
        return Err(HandleError::Invalid("Handle has an xn-- label that is not valid Punycode".to_owned()));
    }
    Ok(())
}

/// Under this server's domains nobody gets a name that people take for another's. A domain of somebody's own is for its
/// registry to judge.
fn check_homograph(front: &str) -> Result<(), HandleError> {
    let Some(text) = homographs::is_encoded(front).then(|| homographs::decode(front)).flatten() else { return Ok(()) };
    if homographs::is_mixed(&text) {
        return Err(HandleError::Invalid("Handle mixes letters of different scripts".to_owned()));
    }
    if homographs::looks_like_ascii(&text) {
        return Err(HandleError::Invalid("Handle looks like another one in ASCII letters".to_owned()));
    }
    Ok(())
}

/// Tells whether the handle is the host that a did:web's document is at. Nobody else may have it then.
pub fn is_host_of(handle: &Handle, did: &Did) -> bool {
    did.as_str().strip_prefix("did:web:") == Some(handle.as_str())
}

fn check_front(front: &str, reserved_refused: bool) -> Result<(), HandleError> {
    if front.contains('.') {
        return Err(HandleError::Invalid("Invalid characters in handle".to_owned()));
    }
    if front.len() < FRONT_CHARS_MIN {
        return Err(HandleError::Invalid("Handle too short".to_owned()));
    }
    if front.len() > FRONT_CHARS_MAX {
        return Err(HandleError::Invalid("Handle too long".to_owned()));
    }
    check_homograph(front)?;
    if reserved_refused && RESERVED_FRONTS.lines().any(|reserved| reserved == front) {
        return Err(HandleError::Reserved);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> HandlePolicy {
        HandlePolicy::new(vec![".pds.test".to_owned(), ".example.com".to_owned()], 0)
    }

    fn invalid(typed: &str) -> String {
        match policy().admit(typed) {
            Err(HandleError::Invalid(message)) => message,
            other => panic!("{typed}: {other:?}"),
        }
    }

    #[test]
    fn lower_cases_and_finds_the_service_domain() {
        let handle = policy().admit("Alice.PDS.test").unwrap();
        assert_eq!(handle, AdmissibleHandle::Service(Handle::parse("alice.pds.test").unwrap()));
        let handle = policy().admit("alice.com").unwrap();
        assert_eq!(handle, AdmissibleHandle::Own(Handle::parse("alice.com").unwrap()));
    }

    #[test]
    fn refuses_what_is_no_handle() {
        for typed in ["", "alice", "jo_hn.pds.test", "-a.pds.test", "alice..test", "al ice.pds.test", "alice.pds.test."]
        {
            assert!(!invalid(typed).is_empty(), "{typed}");
        }
        for typed in ["alice.local", "alice.onion", "alice.internal", "alice.invalid", "alice.localhost"] {
            assert_eq!(invalid(typed), "Handle TLD is invalid or disallowed");
        }
    }

    #[test]
    fn refuses_fronts_outside_the_rules() {
        assert_eq!(invalid("al.pds.test"), "Handle too short");
        assert_eq!(invalid(&format!("{}.pds.test", "a".repeat(19))), "Handle too long");
        assert_eq!(invalid("a.lice.pds.test"), "Invalid characters in handle");
        assert!(policy().admit(&format!("{}.pds.test", "a".repeat(18))).is_ok());
        assert!(policy().admit("ali.pds.test").is_ok());
    }

    #[test]
    fn refuses_what_looks_like_another_name() {
        let punycode = "Handle has an xn-- label that is not valid Punycode";
        for typed in ["xn--99999999.pds.test", "xn--bucher-xyd.pds.test", "xn--99999999.com", "alice.xn--a.com"] {
            assert_eq!(invalid(typed), punycode, "{typed}");
        }
        let look_alike = "Handle looks like another one in ASCII letters";
        for typed in ["xn--80ak6aa92e.pds.test", "XN--80AK6AA92E.example.com"] {
            assert_eq!(invalid(typed), look_alike, "{typed}");
        }
        // "paypal" with a Cyrillic letter.
        assert_eq!(invalid("xn--pypal-4ve.pds.test"), "Handle mixes letters of different scripts");
        assert!(policy().admit_by_operator("xn--80ak6aa92e.pds.test").is_err());
        for typed in ["xn--bcher-kva.pds.test", "xn--e1afmkfd.pds.test", "xn--80ak6aa92e.com", "ab--cd.pds.test"] {
            assert!(policy().admit(typed).is_ok(), "{typed}");
        }
    }

    #[test]
    fn refuses_reserved_fronts() {
        assert_eq!(policy().admit("admin.pds.test"), Err(HandleError::Reserved));
        assert_eq!(policy().admit("atproto.example.com"), Err(HandleError::Reserved));
    }

    #[test]
    fn reserved_fronts_are_ones_that_could_be_asked_for() {
        let fronts: Vec<_> = RESERVED_FRONTS.lines().collect();
        assert!(fronts.len() > 300);
        for front in &fronts {
            assert!((FRONT_CHARS_MIN..=FRONT_CHARS_MAX).contains(&front.len()), "{front}");
            assert!(
                Handle::parse(&format!("{front}.pds.test")).is_ok_and(|h| h.as_str().starts_with(front)),
                "{front}"
            );
        }
    }
}
