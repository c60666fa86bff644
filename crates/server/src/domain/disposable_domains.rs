//! Domains of services that give disposable e-mail addresses: a list that is built in, and the operator's changes to
//! it.

/// The built-in list: one lower-case ASCII name a line, sorted by bytes, looked through where it lies in the binary.
const BUILT_IN: &str = include_str!("../../data/disposable_email_domains/domains.txt");

/// Which domains are refused.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DisposableDomains {
    /// Sorted.
    refused: Box<[Box<str>]>,
    /// Sorted; what is here is taken whatever else says.
    allowed: Box<[Box<str>]>,
    without_built_in: bool,
}

/// The longest domain name that is looked at, in bytes: no longer one is in an e-mail address.
const NAME_BYTES_MAX: usize = 254;

/// How much of a line that can't be read an error shows, in characters.
const SHOWN_CHARS_MAX: usize = 80;

/// A line of an operator's list that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {text:?} is not a domain name")]
pub struct ListError {
    line: usize,
    text: String,
}

impl DisposableDomains {
    /// Reads an operator's list. A line is a domain to be refused, or one that is allowed after a `!`, or `!*` so that
    /// the built-in list does not count; empty lines and what follows a `#` mean nothing.
    pub fn parse(text: &str) -> Result<Self, ListError> {
        let (mut refused, mut allowed, mut without_built_in) = (Vec::new(), Vec::new(), false);
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            if entry == "!*" {
                without_built_in = true;
                continue;
            }
            let (list, name) = match entry.strip_prefix('!') {
                Some(name) => (&mut allowed, name),
                None => (&mut refused, entry),
            };
            let error = || ListError { line: index + 1, text: entry.chars().take(SHOWN_CHARS_MAX).collect() };
            let is_short = name.len() <= NAME_BYTES_MAX;
            let name = is_short.then(|| super::homographs::to_ascii(name)).flatten().ok_or_else(error)?;
            list.push(name.into_boxed_str());
        }
        refused.sort_unstable();
        allowed.sort_unstable();
        Ok(Self { refused: refused.into(), allowed: allowed.into(), without_built_in })
    }

    /// Tells whether a domain, lower-case and in ASCII, or one above it gives disposable addresses. Of several that are
    /// listed the nearest counts.
    pub fn contains(&self, domain: &str) -> bool {
        let mut name = domain;
        loop {
            let listed = |list: &[Box<str>]| list.binary_search_by(|entry| (**entry).cmp(name)).is_ok();
            if listed(&self.allowed) {
                return false;
            }
            if listed(&self.refused) || (!self.without_built_in && is_line(BUILT_IN, name)) {
                return true;
            }
            match name.split_once('.') {
                Some((_, parent)) => name = parent,
                None => return false,
            }
        }
    }
}

/// Looks for a line in sorted lines, each of which ends with a line feed.
fn is_line(sorted: &str, wanted: &str) -> bool {
    let mut rest = sorted;
    while !rest.is_empty() {
        // The line that the middle is in; ASCII has a character boundary everywhere.
        let middle = rest.len() / 2;
        let start = rest.get(..middle).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
        let end = rest.get(middle..).and_then(|after| after.find('\n')).map_or(rest.len(), |end| middle + end);
        let Some(line) = rest.get(start..end) else { return false };
        rest = match wanted.cmp(line) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => rest.get(..start).unwrap_or_default(),
            std::cmp::Ordering::Greater => rest.get(end + 1..).unwrap_or_default(),
        };
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_list_can_be_searched() {
        assert!(BUILT_IN.is_ascii() && BUILT_IN.ends_with('\n'));
        let lines: Vec<&str> = BUILT_IN.lines().collect();
        assert!(lines.len() > 8_000, "{}", lines.len());
        assert!(lines.is_sorted_by(|one, next| one < next), "sorted, each once");
        for line in &lines {
            assert_eq!(super::super::homographs::to_ascii(line).as_deref(), Some(*line));
            assert!(line.contains('.') && is_line(BUILT_IN, line), "{line}");
        }
        for absent in ["", "com", "aaaa.example", "zzzz.example", "gmail.com", "proton.me", "0"] {
            assert!(!is_line(BUILT_IN, absent), "{absent}");
        }
    }

    #[test]
    fn a_domain_is_listed_with_all_below_it() {
        let domains = DisposableDomains::default();
        for domain in ["mailinator.com", "x.mailinator.com", "a.b.mailinator.com"] {
            assert!(domains.contains(domain), "{domain}");
        }
        for domain in ["notmailinator.example", "mailinator.com.example.org", "example.com", "com"] {
            assert!(!domains.contains(domain), "{domain}");
        }
    }

    #[test]
    fn the_operator_adds_allows_and_replaces() {
        let list = "# ours\n\nBücher.example  # as typed\nspam.example\n!mailinator.com\n!good.spam.example\n";
        let domains = DisposableDomains::parse(list).unwrap();
        for domain in ["xn--bcher-kva.example", "spam.example", "x.spam.example", "yopmail.com"] {
            assert!(domains.contains(domain), "{domain}");
        }
        for domain in ["mailinator.com", "x.mailinator.com", "good.spam.example", "x.good.spam.example"] {
            assert!(!domains.contains(domain), "{domain}");
        }
        let alone = DisposableDomains::parse("!*\nspam.example").unwrap();
        assert!(alone.contains("spam.example") && !alone.contains("mailinator.com"));
    }

    #[test]
    fn what_is_no_domain_is_named_with_its_line() {
        for (text, line) in [("a.example\nno domain", 2), ("!", 1), ("-x.example", 1), ("a@b.example", 1)] {
            assert_eq!(DisposableDomains::parse(text).unwrap_err().line, line, "{text}");
        }
    }
}
