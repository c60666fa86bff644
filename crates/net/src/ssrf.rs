//! A corpus against server-side request forgery: URLs and addresses that must be rejected, a URL before its name is
//! resolved, an address before it is dialled.

use url::Url;

use crate::{dns::Dns, global_address::is_global_unicast, outbound::Guarded};

/// Literal addresses: loopback, private, link-local and metadata addresses in every spelling a URL allows.
const HOSTS: &[&str] = &[
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.000.000.001",
    "0177.0.0.1",
    "0177.0.0.01",
    "0x7f.0.0.1",
    "0x7f.1",
    "0x7f000001",
    "0X7F000001",
    "2130706433",
    "017700000001",
    "127.0.0.1.",
    "0",
    "0.0.0.0",
    "0x0",
    "00000000000",
    "10.0.0.1",
    "10.1",
    "167772161",
    "0xa000001",
    "012.0.0.1",
    "192.168.0.1",
    "192.168.1",
    "3232235521",
    "0xc0a80001",
    "172.16.0.1",
    "2886729729",
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "100.100.100.200",
    "192.0.0.192",
    "224.0.0.1",
    "255.255.255.255",
    "8.8.8.8",
    "1.1.1.1",
    "134744072",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[0:0:0:0:0:ffff:127.0.0.1]",
    "[::127.0.0.1]",
    "[::ffff:169.254.169.254]",
    "[fd00:ec2::254]",
    "[fe80::1]",
    "[fc00::1]",
    "[ff02::1]",
    "[64:ff9b::7f00:1]",
    "[2002:7f00:1::]",
    "[2001:db8::1]",
    "[2606:4700:4700::1111]",
    // Other digits and dots, which a URL parser maps to these.
    "①②⑦.⓪.⓪.①",
    "１２７.０.０.１",
    "127。0。0。1",
    "127．0．0．1",
    "%31%32%37.0.0.1",
    "127.0.0.%31",
];

/// Names without a dot, of this machine and its network.
const NAMES: &[&str] = &[
    "localhost",
    "LOCALHOST",
    "lOcAlHoSt",
    "ｌｏｃａｌｈｏｓｔ",
    "localhost%2e",
    "intranet",
    "metadata",
    "router",
    "kubernetes",
    "com",
];

/// URLs that are rejected for another part than the host.
const URLS: &[&str] = &[
    "http://a.example.com/",
    "http://a.example.com:443/",
    "https://a.example.com:80/",
    "https://a.example.com:8443/",
    "https://a.example.com:22/",
    "https://a.example.com:1/",
    "https://user@a.example.com/",
    "https://user:pass@a.example.com/",
    "https://:pass@a.example.com/",
    "https://a.example.com@127.0.0.1/",
    "https://127.0.0.1#@a.example.com/",
    "https://127.0.0.1?@a.example.com/",
    "https://127.0.0.1\\@a.example.com/",
    "https:127.0.0.1",
    "https:///127.0.0.1/",
    "https:\\\\127.0.0.1\\",
    "https://127.0.0.1\t/",
    "ht\ntps://127.0.0.1/",
    "ftp://a.example.com/",
    "file:///etc/passwd",
    "file://a.example.com/etc/passwd",
    "gopher://a.example.com/",
    "dict://a.example.com:11211/",
    "data:text/plain,did:plc:a",
    "javascript:alert(1)",
    "ws://a.example.com/",
    "wss://a.example.com/",
    "ldap://a.example.com/",
    "jar:https://a.example.com!/",
    "unix:///run/socket",
];

/// Addresses that a name may resolve to.
const ADDRESSES: &[&str] = &[
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.0",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "169.254.170.2",
    "169.254.255.255",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.0",
    "192.0.0.170",
    "192.0.2.255",
    "192.88.99.0",
    "192.168.0.0",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.0",
    "203.0.113.255",
    "224.0.0.0",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "::2",
    "::ffff:0.0.0.0",
    "::ffff:10.255.255.255",
    "::ffff:100.64.0.1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::ffff:172.31.0.1",
    "::ffff:192.168.0.1",
    "::ffff:224.0.0.1",
    "::ffff:255.255.255.255",
    "::ffff:0:127.0.0.1",
    "::ffff:0:8.8.8.8",
    "::7f00:1",
    "::a9fe:a9fe",
    "64:ff9b::",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::c0a8:1",
    "64:ff9b:1::1",
    "64:ff9b:1:ffff:ffff:ffff:808:808",
    "100::",
    "100::ffff",
    "2001::",
    "2001::7f00:1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:2::",
    "2001:10::1",
    "2001:1f:ffff::1",
    "2001:20::",
    "2001:db8::",
    "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff",
    "2002::",
    "2002:7f00:1::",
    "2002:a00:1::1",
    "2002:a9fe:a9fe::1",
    "2002:c0a8:1::1",
    "2002:ac10:1::1",
    "2002:e000:1::1",
    "3fff::",
    "3fff:fff::1",
    "4000::",
    "5f00::1",
    "8000::1",
    "fc00::",
    "fcff::1",
    "fd00::",
    "fd00:ec2::254",
    "fdff:ffff::1",
    "fe80::",
    "fe80::a9fe:a9fe",
    "febf::1",
    "fec0::1",
    "feff::1",
    "ff00::",
    "ff01::1",
    "ff02::1",
    "ff0e::1",
    "ffff::",
];

#[test]
fn the_corpus_is_large() {
    assert!(HOSTS.len() + NAMES.len() + URLS.len() + ADDRESSES.len() >= 180);
}

#[test]
fn no_form_of_a_url_leads_inside() {
    let guarded = Guarded::new(1_000, false, Dns::of_the_system());
    let asked = |text: &str| Url::parse(text).is_ok_and(|url| guarded.check(&url).is_ok());
    for host in HOSTS.iter().chain(NAMES) {
        for text in
            [format!("https://{host}/"), format!("https://{host}/.well-known/did.json"), format!("http://{host}/")]
        {
            assert!(!asked(&text), "{text}");
        }
    }
    for text in URLS {
        assert!(!asked(text), "{text:?}");
    }
    assert!(asked("https://a.example.com/.well-known/did.json"), "a plain one is asked");
}

#[test]
fn no_address_inside_is_dialled() {
    for address in ADDRESSES {
        assert!(!is_global_unicast(address.parse().unwrap()), "{address}");
    }
}

#[tokio::test]
async fn a_name_that_leads_inside_is_not_dialled() {
    let names = Guarded::new(1_000, false, Dns::of_the_system()).names();
    for name in ["localhost", "127.0.0.1", "::1", "0.0.0.0"] {
        assert!(names.addresses(name).await.is_err(), "{name}");
    }
    let names = Guarded::new(1_000, true, Dns::of_the_system()).names();
    assert!(names.addresses("localhost").await.is_ok(), "in development");
}
