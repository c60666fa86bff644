//! Which e-mail addresses are taken, and the one form in which they are stored, shown and compared.

use super::{disposable_domains::DisposableDomains, homographs};

/// The longest address taken, in bytes. Source: RFC 5321, section 4.5.3.1.
pub const ADDRESS_BYTES_MAX: usize = 254;

const LOCAL_PART_BYTES_MAX: usize = 64;

/// Top-level names that no mail reaches.
const UNREACHABLE_TLDS: &[&str] = &["alt", "arpa", "internal", "invalid", "local", "localhost", "onion"];

/// A checked e-mail address in its canonical form: lower case, the domain in ASCII.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress {
    typed: String,
    canonical: String,
}

/// Why an address is not taken. The texts begin with the reference's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EmailUnsupported {
    /// It is none that mail can be sent to, or a throw-away one.
    #[error("This email address is not supported, please use a different email.")]
    Unusable,
    /// Mail reaches it only through servers that know SMTPUTF8.
    #[error(
        "This email address is not supported, please use a different email. \
         The part before the @ can only have letters from a to z, digits and punctuation."
    )]
    LocalPart,
    /// Its domain looks like another.
    #[error(
        "This email address is not supported, please use a different email. Its domain can be mistaken for another."
    )]
    LookAlike,
}

impl EmailAddress {
    /// Checks an address: one `@`, a plain local part, a domain with a dot that can't be mistaken for another.
    pub fn parse(typed: &str) -> Result<Self, EmailUnsupported> {
        let address = typed.trim();
        if address.len() > ADDRESS_BYTES_MAX {
            return Err(EmailUnsupported::Unusable);
        }
        let (local, domain) = address.rsplit_once('@').ok_or(EmailUnsupported::Unusable)?;
        if !local.is_ascii() && local.chars().all(|c| !c.is_control()) {
            return Err(EmailUnsupported::LocalPart);
        }
        let domain = homographs::to_ascii(domain).ok_or(EmailUnsupported::Unusable)?;
        if !is_local_part(local) || !is_reachable(&domain) {
            return Err(EmailUnsupported::Unusable);
        }
        check_look_alike(&domain)?;
        let canonical = format!("{}@{domain}", local.to_ascii_lowercase());
        if canonical.len() > ADDRESS_BYTES_MAX {
            return Err(EmailUnsupported::Unusable);
        }
        Ok(Self { typed: address.to_owned(), canonical })
    }

    /// The address as typed, without white space around it.
    pub fn as_typed(&self) -> &str {
        &self.typed
    }

    /// The canonical form, which is stored, shown, written to and compared.
    pub fn as_str(&self) -> &str {
        &self.canonical
    }

    /// The domain, in ASCII.
    pub fn domain(&self) -> &str {
        self.canonical.rsplit_once('@').map_or("", |(_, domain)| domain)
    }
}

/// Which addresses the accounts of a server may have.
#[derive(Debug, Clone)]
pub struct EmailPolicy {
    disposable_domains: DisposableDomains,
}

impl EmailPolicy {
    /// Refuses addresses at these domains.
    pub fn new(disposable_domains: DisposableDomains) -> Self {
        Self { disposable_domains }
    }

    /// Checks an address that an account is to have: as [`EmailAddress::parse`], and at none of the services that give
    /// throw-away addresses.
    pub fn admit(&self, typed: &str) -> Result<EmailAddress, EmailUnsupported> {
        let address = EmailAddress::parse(typed)?;
        if self.disposable_domains.contains(address.domain()) {
            return Err(EmailUnsupported::Unusable);
        }
        Ok(address)
    }
}

/// The canonical form of what somebody typed as an identifier, to be compared with stored addresses.
pub fn lookup_key(typed: &str) -> String {
    let typed = typed.trim().to_lowercase();
    // Longer ones are nobody's, and encoding takes time by the square of the length.
    if typed.is_ascii() || typed.len() > 2 * ADDRESS_BYTES_MAX {
        return typed;
    }
    let encoded = typed.rsplit_once('@').and_then(|(local, domain)| Some((local, homographs::to_ascii(domain)?)));
    match encoded {
        Some((local, domain)) => format!("{local}@{domain}"),
        None => typed,
    }
}

fn is_local_part(local: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+/=?^_`{|}~-.".contains(c);
    !local.is_empty()
        && local.len() <= LOCAL_PART_BYTES_MAX
        && local.chars().all(plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
}

fn is_reachable(domain: &str) -> bool {
    let tld = domain.rsplit('.').next().unwrap_or_default();
    domain.contains('.')
        && tld.len() >= 2
        && !tld.starts_with(|c: char| c.is_ascii_digit())
        && !UNREACHABLE_TLDS.contains(&tld)
}

/// Labels in Latin letters with marks are let through, since the encoded form is what is shown; and so are those that
/// look like ASCII below a top-level domain in the same letters, where nobody expects ASCII.
fn check_look_alike(domain: &str) -> Result<(), EmailUnsupported> {
    let is_ascii_tld = domain.rsplit('.').next().is_some_and(|tld| !homographs::is_encoded(tld));
    for label in domain.split('.').filter(|label| homographs::is_encoded(label)) {
        let text = homographs::decode(label).ok_or(EmailUnsupported::Unusable)?;
        let is_latin = text.contains(|c: char| c.is_ascii_alphabetic());
        if homographs::is_mixed(&text) || (is_ascii_tld && !is_latin && homographs::looks_like_ascii(&text)) {
            return Err(EmailUnsupported::LookAlike);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_ordinary_addresses_in_their_canonical_form() {
        let address = EmailAddress::parse(" Alice.Liddell+pds@Example.COM ").unwrap();
        assert_eq!(address.as_typed(), "Alice.Liddell+pds@Example.COM");
        assert_eq!(address.as_str(), "alice.liddell+pds@example.com");
        assert_eq!(address.domain(), "example.com");
        assert_eq!(lookup_key("Alice.Liddell+PDS@example.com"), address.as_str());
        assert!(EmailAddress::parse("alice@test.test").is_ok());
    }

    #[test]
    fn an_international_domain_and_its_encoding_are_one() {
        for typed in ["zz@ünïcode.example", "ZZ@ÜNÏCODE.example", "zz@xn--ncode-cta3g.example"] {
            let address = EmailAddress::parse(typed).unwrap();
            assert_eq!(address.as_str(), "zz@xn--ncode-cta3g.example", "{typed}");
            assert_eq!(lookup_key(typed), address.as_str(), "{typed}");
        }
        assert_eq!(lookup_key("jörg@Bücher.example"), "jörg@xn--bcher-kva.example");
        assert_eq!(lookup_key(&format!("a@{}", "ü".repeat(10_000))).chars().count(), 10_002);
        assert!(EmailAddress::parse("a@пример.рф").is_ok());
        assert!(EmailAddress::parse("a@сосо.рф").is_ok(), "nobody expects ASCII below it");
        assert!(EmailAddress::parse("a@præst.example").is_ok());
    }

    #[test]
    fn refuses_what_no_mail_reaches() {
        for typed in [
            "",
            "alice",
            "@example.com",
            "alice@",
            "alice@example",
            "a b@example.com",
            "a@@example.com",
            ".a@example.com",
            "a.@example.com",
            "a..b@example.com",
            "a@-x.com",
            "a@x-.com",
            "a@x..com",
            "a@x.com.",
            "a@host.local",
            "a@1.2.3.4",
            "a@example.com\r\nBcc: b@example.com",
            "a\n@example.com",
            "\"a\"@example.com",
            "a@exa_mple.com",
            "a@xn--99999999.com",
            "a@exam\u{200b}ple.com",
            "a@exam\u{202e}ple.com",
            "a@exam\u{7}ple.com",
        ] {
            assert_eq!(EmailAddress::parse(typed), Err(EmailUnsupported::Unusable), "{typed:?}");
        }
        assert!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(EmailAddress::parse(&format!("a@{}.com", "a.".repeat(130))).is_err());
    }

    #[test]
    fn refuses_what_looks_like_another_address() {
        for typed in ["jörg@example.com", "аlice@example.com", "al\u{200b}ice@example.com", "a\u{202e}b@example.com"]
        {
            assert_eq!(EmailAddress::parse(typed), Err(EmailUnsupported::LocalPart), "{typed:?}");
        }
        for typed in ["a@gmаil.com", "a@xn--gmil-63d.com", "a@аррӏе.com", "a@xn--80ak6aa92e.com"] {
            assert_eq!(EmailAddress::parse(typed), Err(EmailUnsupported::LookAlike), "{typed:?}");
        }
    }
}
