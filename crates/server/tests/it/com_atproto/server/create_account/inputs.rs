//! Handle, e-mail address, password, and the inputs this server does not use.

use allod_server::domain::disposable_domains::DisposableDomains;
use allod_testkit::TestPds;
use serde_json::Value;

use super::{create, created, did_of, person, refused, with};
use crate::seen::{self, refusal};

fn invalid_handle(message: &str) -> seen::Refusal {
    refusal(400, "InvalidHandle", message)
}

#[tokio::test]
async fn a_handle_is_lower_cased() {
    let pds = TestPds::start().await;
    let answer = created(&pds, &with(person("alice"), "handle", "Alice-B.TEST")).await;
    assert_eq!(answer["handle"], "alice-b.test");
    assert_eq!(answer["didDoc"]["alsoKnownAs"][0], "at://alice-b.test");
    let taken = with(person("bob"), "handle", "ALICE-b.test");
    assert_eq!(refused(&pds, &taken).await, refusal(400, "HandleNotAvailable", "Handle already taken: alice-b.test"));
}

#[tokio::test]
async fn a_handle_that_breaks_a_rule_is_refused_by_name() {
    let pds = TestPds::start().await;
    for handle in [
        "",
        "alice",
        "jo_hn.test",
        "-al.test",
        "al-.test",
        "alice..test",
        "al ice.test",
        "@alice.test",
        "alice.test.",
        "älice.test",
        "did:plc:abc",
        "alice.1test",
        "al\u{0}ice.test",
    ] {
        let (status, name, message) = refused(&pds, &with(person("alice"), "handle", handle)).await;
        assert_eq!((status, name.as_str()), (400, "InvalidHandle"), "{handle}");
        assert!(message.starts_with("Invalid handle: "), "{handle}: {message}");
    }
    let long = format!("{}.test", "a".repeat(300));
    assert_eq!(refused(&pds, &with(person("alice"), "handle", long)).await.1, "InvalidHandle");
    for (handle, message) in [
        ("alice.local", "Handle TLD is invalid or disallowed"),
        ("alice.onion", "Handle TLD is invalid or disallowed"),
        ("al.test", "Handle too short"),
        ("aaaaaaaaaaaaaaaaaaa.test", "Handle too long"),
        ("a.lice.test", "Invalid characters in handle"),
    ] {
        assert_eq!(refused(&pds, &with(person("alice"), "handle", handle)).await, invalid_handle(message), "{handle}");
    }
    for reserved in ["admin.test", "ATPROTO.test"] {
        let expected = refusal(400, "HandleNotAvailable", "Reserved handle");
        assert_eq!(refused(&pds, &with(person("alice"), "handle", reserved)).await, expected, "{reserved}");
    }
    for foreign in ["alice.com", "alice.bsky.social", "alicetest.com"] {
        let expected = refusal(400, "UnsupportedDomain", "Not a supported handle domain");
        assert_eq!(refused(&pds, &with(person("alice"), "handle", foreign)).await, expected, "{foreign}");
    }
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn the_shortest_and_the_longest_handle_are_taken() {
    let pds = TestPds::start().await;
    for (name, handle) in [("short", "ali.test"), ("long", "aaaaaaaaaaaaaaaaaa.test"), ("puny", "xn--bcher-kva.test")] {
        assert_eq!(created(&pds, &with(person(name), "handle", handle)).await["handle"], handle);
    }
}

#[tokio::test]
async fn names_stay_taken_whatever_the_accounts_status() {
    let pds = TestPds::start().await;
    let names = ["active", "asleep", "removed"];
    for name in names {
        let did = did_of(&created(&pds, &person(name)).await);
        match name {
            "asleep" => seen::deactivate(&pds, &did).await,
            "removed" => seen::take_down(&pds, &did).await,
            _ => {}
        }
    }
    let genesis_operations = pds.plc().genesis_operations();
    for name in names {
        let same_handle = with(person(name), "email", "other@mail.test");
        let expected = refusal(400, "HandleNotAvailable", &format!("Handle already taken: {name}.test"));
        assert_eq!(refused(&pds, &same_handle).await, expected);
        assert_eq!(refused(&pds, &person(name)).await, expected, "the same request is no second account");

        let typed = format!("{}@Mail.TEST", name.to_uppercase());
        let same_email = with(with(person(name), "handle", "other.test"), "email", typed.as_str());
        let expected = refusal(400, "InvalidRequest", &format!("Email already taken: {typed}"));
        assert_eq!(refused(&pds, &same_email).await, expected);
    }
    assert_eq!(pds.plc().genesis_operations(), genesis_operations, "no identity is made for nothing");
}

#[tokio::test]
async fn an_email_address_is_needed_and_checked() {
    let pds = TestPds::start().await;
    for missing in [Value::Null, "".into(), "  ".into()] {
        let body = with(person("alice"), "email", missing);
        assert_eq!(refused(&pds, &body).await, refusal(400, "InvalidRequest", "Email is required"));
    }
    let unsupported =
        refusal(400, "InvalidRequest", "This email address is not supported, please use a different email.");
    let long = format!("{}@mail.test", "a".repeat(400));
    for email in ["alice", "alice@", "@mail.test", "a@b@c", "a@mail", "alice@mailinator.com", "a\r\nb@mail.test", &long]
    {
        assert_eq!(refused(&pds, &with(person("alice"), "email", email)).await, unsupported, "{email:?}");
    }
    seen::nothing_happened(&pds).await;
    let answer = created(&pds, &with(person("alice"), "email", " Alice+pds@Mail.test ")).await;
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(answer["accessJwt"].as_str().unwrap());
    assert_eq!(session.ok().await["email"], "alice+pds@mail.test");
}

#[tokio::test]
async fn an_address_has_one_form_whatever_is_typed() {
    let pds = TestPds::start().await;
    let (unicode, ascii) = ("zz@ünïcode.example", "zz@xn--ncode-cta3g.example");
    let answer = created(&pds, &with(person("alice"), "email", unicode)).await;
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(answer["accessJwt"].as_str().unwrap());
    assert_eq!(session.ok().await["email"], ascii);
    for typed in [unicode, ascii, "ZZ@ÜNÏCODE.example", "ZZ@XN--ncode-cta3g.EXAMPLE"] {
        let expected = refusal(400, "InvalidRequest", &format!("Email already taken: {typed}"));
        assert_eq!(refused(&pds, &with(person("bob"), "email", typed)).await, expected);
        let old = pds.xrpc_post("com.atproto.account.create").json(&with(person("bob"), "email", typed));
        assert_eq!(old.error().await, expected);
        let body = serde_json::json!({ "identifier": typed, "password": "correct horse" });
        assert_eq!(pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await["email"], ascii);
    }
    let search = pds.xrpc_get("com.atproto.admin.searchAccounts").admin().param("email", unicode).ok().await;
    assert_eq!(search["accounts"][0]["did"], answer["did"]);
    for reset in ["com.atproto.server.requestPasswordReset", "com.atproto.account.requestPasswordReset"] {
        let before = pds.mail().await.len();
        let body = serde_json::json!({ "email": unicode });
        assert_eq!(pds.xrpc_post(reset).json(&body).send().await.status.as_u16(), 200);
        pds.deliver_mail().await;
        let mail = pds.mail().await;
        assert_eq!((mail.len(), mail.last().unwrap().to.as_str()), (before + 1, ascii));
    }
}

#[tokio::test]
async fn an_address_that_looks_like_another_is_refused() {
    let pds = TestPds::start().await;
    let base = "This email address is not supported, please use a different email.";
    let local = format!("{base} The part before the @ can only have letters from a to z, digits and punctuation.");
    let look_alike = format!("{base} Its domain can be mistaken for another.");
    for (email, message) in [
        ("аlice@mail.test", local.as_str()),
        ("jörg@mail.test", &local),
        ("al\u{200b}ice@mail.test", &local),
        ("a\u{202e}lice@mail.test", &local),
        ("alice@gmаil.com", &look_alike),
        ("alice@xn--80ak6aa92e.com", &look_alike),
        ("alice@ma\u{200b}il.test", base),
        ("alice@ma\u{202e}il.test", base),
        ("ali\u{7}ce@mail.test", base),
        ("alice@x.mailinator.com", base),
    ] {
        let expected = refusal(400, "InvalidRequest", message);
        assert_eq!(refused(&pds, &with(person("alice"), "email", email)).await, expected, "{email:?}");
    }
    seen::nothing_happened(&pds).await;
    // Whoever has an account can't take one later, nor does the operator give one out.
    let alice = pds.account("alice").await;
    let expected = refusal(400, "InvalidRequest", &look_alike);
    let body = serde_json::json!({ "email": "alice@gmаil.com" });
    let update = pds.xrpc_post("com.atproto.server.updateEmail").bearer(&alice.access).json(&body);
    assert_eq!(update.error().await, expected);
    let body = serde_json::json!({ "account": alice.did, "email": "alice@gmаil.com" });
    assert_eq!(pds.xrpc_post("com.atproto.admin.updateAccountEmail").admin().json(&body).error().await, expected);
}

#[tokio::test]
async fn throw_away_domains_are_the_operators_choice_too() {
    let options = TestPds::options().config(|config| {
        config.sign_up.disposable_domains = DisposableDomains::parse("spam.example\n!mailinator.com").unwrap();
    });
    let pds = options.start().await;
    let base = "This email address is not supported, please use a different email.";
    let expected = refusal(400, "InvalidRequest", base);
    assert_eq!(refused(&pds, &with(person("alice"), "email", "alice@x.spam.example")).await, expected);
    created(&pds, &with(person("alice"), "email", "alice@mailinator.com")).await;
}

#[tokio::test]
async fn a_handle_that_looks_like_another_is_refused() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for (handle, message) in [
        ("xn--80ak6aa92e.test", "Handle looks like another one in ASCII letters"),
        ("xn--pypal-4ve.test", "Handle mixes letters of different scripts"),
        ("xn--99999999.test", "Handle has an xn-- label that is not valid Punycode"),
        ("xn--99999999.example.com", "Handle has an xn-- label that is not valid Punycode"),
    ] {
        let expected = refusal(400, "InvalidHandle", message);
        assert_eq!(refused(&pds, &with(person("bob"), "handle", handle)).await, expected);
        let old = pds.xrpc_post("com.atproto.account.create").json(&with(person("bob"), "handle", handle));
        assert_eq!(old.error().await, expected);
        let body = serde_json::json!({ "handle": handle });
        let update = pds.xrpc_post("com.atproto.identity.updateHandle").bearer(&alice.access).json(&body);
        assert_eq!(update.error().await, expected);
        let body = serde_json::json!({ "did": alice.did, "handle": handle });
        let update = pds.xrpc_post("com.atproto.admin.updateAccountHandle").admin().json(&body);
        assert_eq!(update.error().await, expected);
        let ask = pds.xrpc_get("com.atproto.temp.checkHandleAvailability").param("handle", handle);
        assert_eq!(ask.error().await, refusal(400, "InvalidRequest", message));
    }
    created(&pds, &with(person("bob"), "handle", "xn--bcher-kva.test")).await;
    // What somebody's own domain looks like is for its registry to judge.
    pds.network().txt("_atproto.xn--80ak6aa92e.com", &[&format!("did={}", alice.did)]);
    let body = serde_json::json!({ "handle": "xn--80ak6aa92e.com" });
    let update = pds.xrpc_post("com.atproto.identity.updateHandle").bearer(&alice.access).json(&body).send().await;
    assert_eq!(update.status.as_u16(), 200, "{}", update.text());
}

#[tokio::test]
async fn an_email_address_may_be_made_optional() {
    let pds = TestPds::options().config(|config| config.sign_up.email_required = false).start().await;
    for name in ["alice", "bob"] {
        let answer = created(&pds, &with(person(name), "email", Value::Null)).await;
        let session = pds.xrpc_get("com.atproto.server.getSession").bearer(answer["accessJwt"].as_str().unwrap());
        assert_eq!(session.ok().await.get("email"), None);
    }
}

#[tokio::test]
async fn a_password_has_8_to_256_characters() {
    let pds = TestPds::start().await;
    let too_long = refusal(400, "InvalidPassword", "Password too long. Maximum length is 256 characters.");
    let too_short = refusal(400, "InvalidPassword", "Password too short. Minimum length is 8 characters.");
    let missing = refusal(400, "InvalidPassword", "Password is required");
    let password = |password: Value| with(person("alice"), "password", password);
    assert_eq!(refused(&pds, &password(Value::Null)).await, missing);
    assert_eq!(refused(&pds, &password("".into())).await, missing);
    assert_eq!(refused(&pds, &password("seven77".into())).await, too_short);
    assert_eq!(refused(&pds, &password("ä".repeat(7).into())).await, too_short, "characters are counted, not bytes");
    assert_eq!(refused(&pds, &password("a".repeat(257).into())).await, too_long);
    assert_eq!(refused(&pds, &password("a".repeat(100_000).into())).await, too_long);
    seen::nothing_happened(&pds).await;

    for (name, password) in [("eight", "ä".repeat(8)), ("most", "😀".repeat(256)), ("spaces", " ".repeat(8))] {
        created(&pds, &with(person(name), "password", password.as_str())).await;
        let sign_in = serde_json::json!({ "identifier": format!("{name}.test"), "password": password });
        pds.xrpc_post("com.atproto.server.createSession").json(&sign_in).ok().await;
    }
}

#[tokio::test]
async fn the_lengths_of_a_password_are_the_operators() {
    let options = TestPds::options().config(|config| {
        config.sign_up.password_chars_min = 3;
        config.sign_up.password_chars_max = 5;
    });
    let pds = options.start().await;
    let password = |password: &str| with(person("alice"), "password", password);
    let short = refusal(400, "InvalidPassword", "Password too short. Minimum length is 3 characters.");
    let long = refusal(400, "InvalidPassword", "Password too long. Maximum length is 5 characters.");
    assert_eq!((refused(&pds, &password("ab")).await, refused(&pds, &password("abcdef")).await), (short, long));
    created(&pds, &password("abc")).await;
}

#[tokio::test]
async fn verification_that_nobody_asks_for_is_ignored() {
    let pds = TestPds::start().await;
    let sent = |name: &str| with(with(person(name), "verificationCode", "12345"), "verificationPhone", "no number");
    created(&pds, &sent("alice")).await;
    pds.xrpc_post("com.atproto.account.create").json(&sent("bob")).ok().await;
}

#[tokio::test]
async fn of_several_faults_the_first_in_order_is_named() {
    let pds = TestPds::start().await;
    let mut body = person("admin");
    for (field, value) in [("inviteCode", "none"), ("password", "short"), ("email", "nope")] {
        body[field] = value.into();
    }
    for (repaired, name) in [
        ("inviteCode", "InvalidInviteCode"),
        ("password", "InvalidPassword"),
        ("email", "InvalidRequest"),
        ("handle", "HandleNotAvailable"),
    ] {
        assert_eq!(create(&pds, &body).error().await.1, name);
        match repaired {
            "password" => body["password"] = "correct horse".into(),
            "email" => body["email"] = "admin@mail.test".into(),
            field => drop(body.as_object_mut().unwrap().remove(field)),
        }
    }
    seen::nothing_happened(&pds).await;
}
