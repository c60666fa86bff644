//! Which e-mail addresses are taken, and when two of them are the same.

/// The longest address taken, in bytes. Source: RFC 5321, section 4.5.3.1.
pub const ADDRESS_BYTES_MAX: usize = 254;

const LOCAL_PART_BYTES_MAX: usize = 64;
const LABEL_BYTES_MAX: usize = 63;

/// Domains of services that give throw-away addresses.
const DISPOSABLE_DOMAINS: &str = include_str!("disposable_domains.txt");

/// Top-level names that no mail reaches.
const UNREACHABLE_TLDS: &[&str] = &["alt", "arpa", "internal", "invalid", "local", "localhost", "onion"];

/// A checked e-mail address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmailAddress {
    typed: String,
    key: String,
}

/// The address is not one that mail can be sent to, or a throw-away one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("This email address is not supported, please use a different email.")]
pub struct EmailUnsupported;

impl EmailAddress {
    /// Checks an address: one `@`, a plain local part, a domain with a dot, nothing throw-away.
    pub fn parse(typed: &str) -> Result<Self, EmailUnsupported> {
        let address = typed.trim();
        let (local, domain) = address.rsplit_once('@').ok_or(EmailUnsupported)?;
        if address.len() > ADDRESS_BYTES_MAX || !is_local_part(local) {
            return Err(EmailUnsupported);
        }
        let domain = domain.to_lowercase();
        if !is_domain(&domain) || is_disposable(&domain) {
            return Err(EmailUnsupported);
        }
        let key = format!("{}@{domain}", local.to_lowercase());
        Ok(Self { typed: address.to_owned(), key })
    }

    /// The address as typed, without white space around it.
    pub fn as_typed(&self) -> &str {
        &self.typed
    }

    /// The form in which two addresses are compared.
    pub fn key(&self) -> &str {
        &self.key
    }
}

/// The form in which what somebody typed as an identifier is compared with stored addresses.
pub fn lookup_key(typed: &str) -> String {
    typed.trim().to_lowercase()
}

fn is_local_part(local: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || "!#$%&'*+/=?^_`{|}~-.".contains(c);
    !local.is_empty()
        && local.len() <= LOCAL_PART_BYTES_MAX
        && local.chars().all(plain)
        && !local.starts_with('.')
        && !local.ends_with('.')
        && !local.contains("..")
}

fn is_domain(domain: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= LABEL_BYTES_MAX
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.chars().all(|c| c == '-' || c.is_alphanumeric())
    };
    let tld = domain.rsplit('.').next().unwrap_or_default();
    domain.contains('.')
        && domain.split('.').all(label)
        && tld.len() >= 2
        && !tld.starts_with(|c: char| c.is_ascii_digit())
        && !UNREACHABLE_TLDS.contains(&tld)
}

fn is_disposable(domain: &str) -> bool {
    let listed = |name: &str| DISPOSABLE_DOMAINS.lines().any(|line| line == name);
    let mut name = domain;
    loop {
        if listed(name) {
            return true;
        }
        match name.split_once('.') {
            Some((_, parent)) if parent.contains('.') => name = parent,
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_ordinary_addresses_and_folds_their_case() {
        let address = EmailAddress::parse(" Alice.Liddell+pds@Example.COM ").unwrap();
        assert_eq!(address.as_typed(), "Alice.Liddell+pds@Example.COM");
        assert_eq!(address.key(), "alice.liddell+pds@example.com");
        assert_eq!(lookup_key("Alice.Liddell+PDS@example.com"), address.key());
        assert!(EmailAddress::parse("alice@test.test").is_ok());
        assert!(EmailAddress::parse("jörg@bücher.example").is_ok());
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
            "a@host.local",
            "a@1.2.3.4",
            "a@example.com\r\nBcc: b@example.com",
            "a\n@example.com",
            "\"a\"@example.com",
            "a@exa_mple.com",
        ] {
            assert_eq!(EmailAddress::parse(typed), Err(EmailUnsupported), "{typed:?}");
        }
        assert!(EmailAddress::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
        assert!(EmailAddress::parse(&format!("a@{}.com", "a.".repeat(130))).is_err());
    }

    #[test]
    fn refuses_throw_away_domains_and_their_subdomains() {
        assert_eq!(EmailAddress::parse("a@mailinator.com"), Err(EmailUnsupported));
        assert_eq!(EmailAddress::parse("a@x.Mailinator.com"), Err(EmailUnsupported));
        assert!(EmailAddress::parse("a@notmailinator.com").is_ok());
        assert!(DISPOSABLE_DOMAINS.lines().all(|line| is_domain(line) && line == line.to_lowercase()));
    }
}
