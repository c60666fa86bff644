//! `allod config`: what an operator is told.

use crate::process::Allod;

const SECRETS: &str = "jwt_secret = \"0123456789abcdef0123456789abcdef\"\nadmin_password = \"secret\"\n\
plc_rotation_key_k256_private_key_hex = \"1111111111111111111111111111111111111111111111111111111111111111\"\n";

/// The number of workers follows the machine; the snapshots must not.
const WORKERS: &str = "password_hash_workers = 1\n";

fn check(file: &str, environment: &[(&str, &str)]) -> String {
    let allod = Allod::new();
    allod.write("allod.toml", &format!("{WORKERS}{file}"));
    allod.run_with(&["config", "check"], environment).snapshot(&allod)
}

#[test]
fn a_good_configuration_is_shown_without_its_secrets() {
    let file =
        format!("{SECRETS}hostname = \"PDS.example.com\"\nservice_handle_domains = [\".example.com\", \".a.org\"]\n");
    let environment = [
        ("PDS_PORT", "3000"),
        ("ALLOD_PORT", "4000"),
        ("PDS_INVITE_REQUIRED", "0"),
        ("PDS_DEV_MODE", ""),
        ("PDS_RECOVERY_DID_KEY", "did:key:zQ3shZc2QzApp2oymGvQbzP8eKheVshBHbU4ZYjeXqwSKEn6N"),
        ("UNRELATED", "x"),
    ];
    insta::assert_snapshot!("check_good", check(&file, &environment));
}

#[test]
fn names_of_the_reference_without_effect_are_one_warning() {
    let environment = [
        ("PDS_BSKY_APP_VIEW_URL", "https://api.bsky.app"),
        ("PDS_HOME_URL", "https://example.com"),
        ("PDS_HOSTNAM", "typo.example.com"),
        ("PDS_PLC_ROTATION_KEY_KMS_KEY_ID", ""),
    ];
    let outcome = check(SECRETS, &environment);
    assert!(
        outcome.contains(
            "warning: these settings are not supported yet and have no effect: PDS_BSKY_APP_VIEW_URL, PDS_HOME_URL\n"
        ),
        "{outcome}"
    );
    assert!(outcome.contains("warning: PDS_HOSTNAM: unknown name; did you mean PDS_HOSTNAME?"), "{outcome}");
    assert!(outcome.starts_with("exit code 0"), "{outcome}");
}

#[test]
fn blobs_in_s3_are_refused_rather_than_kept_elsewhere() {
    let outcome = check(SECRETS, &[("PDS_BLOBSTORE_S3_BUCKET", "blobs")]);
    assert!(outcome.starts_with("exit code 2"), "{outcome}");
    assert!(outcome.contains("PDS_BLOBSTORE_S3_BUCKET: S3 is not supported yet"), "{outcome}");
    let outcome = check(SECRETS, &[("PDS_BLOBSTORE_DISK_LOCATION", "/pds/blocks")]);
    assert!(outcome.starts_with("exit code 0"), "{outcome}");
    assert!(outcome.contains("/pds/blocks"), "{outcome}");
}

#[test]
fn everything_wrong_is_told_at_once() {
    let file = "hostnam = \"x\"\nport = \"http\"\njwt_secret = 5\n[identity]\nx = 1\n";
    let environment = [
        ("ALLOD_HOSTNAM", "pds.example.com"),
        ("ALLOD_ZZZZZZZZZZZZ", "1"),
        ("ALLOD_EMAIL_REQUIRED", "yes"),
        ("PDS_HOSTNAME", "https://pds.example.com"),
        ("PDS_SERVICE_HANDLE_DOMAINS", "example.com"),
        ("PDS_DID_PLC_URL", "plc.directory"),
        ("PDS_ID_RESOLVER_TIMEOUT", "0"),
        ("ALLOD_PASSWORD_CHARS_MIN", "300"),
        ("PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX", "abc"),
        ("ALLOD_ADMIN_PASSWORD_FILE", "no-such-file"),
    ];
    insta::assert_snapshot!("check_bad", check(file, &environment));
}

#[test]
fn missing_secrets_are_named_with_the_way_to_make_them() {
    insta::assert_snapshot!("check_missing", check("", &[]));
}

#[test]
fn a_rotation_key_that_is_none_is_told_before_the_start() {
    let name = "ALLOD_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX";
    let outcome = check(SECRETS, &[(name, &"0".repeat(64))]);
    assert!(outcome.contains(&format!("{name}: is not a secp256k1 private key")), "{outcome}");
}

#[test]
fn broken_toml_names_the_line() {
    let outcome = check("hostname = \"a.example.com\"\nport = = 3\n", &[]);
    assert!(outcome.starts_with("exit code 2"), "{outcome}");
    assert!(outcome.contains("allod.toml:3: not valid TOML"), "{outcome}");
}

#[test]
fn development_mode_is_refused_with_a_public_name() {
    let refused = check(SECRETS, &[("PDS_HOSTNAME", "pds.allod.social"), ("PDS_DEV_MODE", "true")]);
    assert!(refused.starts_with("exit code 2") && refused.contains("public hostname pds.allod.social"), "{refused}");
    for name in ["localhost", "pds.test", "pds", "pds.example.com", "192.168.1.4", "pds.home.arpa"] {
        let accepted = check(SECRETS, &[("PDS_HOSTNAME", name), ("PDS_DEV_MODE", "true")]);
        assert!(accepted.starts_with("exit code 0"), "{accepted}");
    }
}

#[test]
fn passwords_cheap_to_guess_are_for_development_only() {
    for (name, value) in [("ALLOD_PASSWORD_HASH_MEMORY_KIB", "8"), ("ALLOD_PASSWORD_HASH_PASSES", "1")] {
        let refused = check(SECRETS, &[(name, value)]);
        assert!(refused.starts_with("exit code 2"), "{refused}");
        assert!(refused.contains(&format!("{name}: less than 19456 KiB and 2 passes")), "{refused}");
        let accepted = check(SECRETS, &[(name, value), ("PDS_DEV_MODE", "true")]);
        assert!(accepted.starts_with("exit code 0"), "{accepted}");
    }
    for value in ["7", "4194305"] {
        let outcome = check(SECRETS, &[("ALLOD_PASSWORD_HASH_MEMORY_KIB", value), ("PDS_DEV_MODE", "true")]);
        assert!(outcome.contains("must be 8 to 4194304"), "{outcome}");
    }
}

#[test]
fn secrets_come_from_files_too() {
    let allod = Allod::new();
    allod.write("jwt", "0123456789abcdef0123456789abcdef\n");
    allod.write("key", &"1".repeat(64));
    allod.write("c.toml", "plc_rotation_key_k256_private_key_hex_file = \"key\"\n");
    let given = [("PDS_JWT_SECRET_FILE", "jwt")];
    let settings = allod.run_with(&["config", "check", "--json", "--config", "c.toml"], &given).json();
    let source = |key: &str| {
        let found = settings["settings"].as_array().unwrap().iter().find(|setting| setting["key"] == key).unwrap();
        (found["value"].as_str().unwrap().to_owned(), found["source"].as_str().unwrap().to_owned())
    };
    assert_eq!(source("jwt_secret"), ("(secret)".to_owned(), "PDS_JWT_SECRET_FILE".to_owned()));
    assert_eq!(source("plc_rotation_key_k256_private_key_hex").1, "c.toml:1");
    assert_eq!(settings["ok"], true);

    let both = [("PDS_JWT_SECRET_FILE", "jwt"), ("PDS_JWT_SECRET", "x"), ("ALLOD_CONFIG", "c.toml")];
    let outcome = allod.run_with(&["config", "check"], &both);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("PDS_JWT_SECRET_FILE: PDS_JWT_SECRET is also set"), "{}", outcome.stderr);
}

#[test]
fn a_file_that_is_named_must_be_there() {
    let allod = Allod::new();
    let outcome = allod.run(&["config", "check", "--config", "nowhere.toml"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("nowhere.toml: can't be read"), "{}", outcome.stderr);
}

#[test]
fn the_page_on_configuration_is_current() {
    let page = Allod::new().run(&["config", "list", "--markdown"]).ok();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == kept,
        "docs/configuration.md is stale: cargo run -p allod -- config list --markdown > docs/configuration.md"
    );
}

#[test]
fn the_list_names_every_setting() {
    let list = Allod::new().run(&["config", "list"]).ok();
    for name in ["PDS_HOSTNAME", "ALLOD_BIND_ADDRESS", "PDS_JWT_SECRET_FILE", "blob_upload_limit"] {
        assert!(list.contains(name), "{name} is missing from\n{list}");
    }
}

#[test]
fn relays_are_https_outside_development() {
    let good = check(SECRETS, &[("PDS_CRAWLERS", "https://relay.example.com, https://b.example.com,")]);
    assert!(good.starts_with("exit code 0"), "{good}");
    assert!(good.contains("https://relay.example.com/,https://b.example.com/"), "{good}");
    for (value, reason) in [
        ("http://relay.example.com", "must use https and the default port"),
        ("https://relay.example.com:8443", "must use https and the default port"),
        ("relay.example.com", "must be an http or https URL"),
        ("https://relay.example.com/xrpc", "must be base URLs"),
    ] {
        let bad = check(SECRETS, &[("ALLOD_CRAWLERS", value)]);
        assert!(bad.starts_with("exit code 2") && bad.contains(reason), "{bad}");
    }
    let local = check(SECRETS, &[("ALLOD_CRAWLERS", "http://localhost:2470"), ("PDS_DEV_MODE", "true")]);
    assert!(local.starts_with("exit code 0"), "{local}");
}

#[test]
fn mail_is_set_up_whole_or_told_to_be_missing() {
    let url = ("PDS_EMAIL_SMTP_URL", "smtps://user:hunter2@smtp.example.com:465/");
    let from = ("PDS_EMAIL_FROM_ADDRESS", "My PDS <noreply@example.com>");
    let good = check(SECRETS, &[url, from]);
    assert!(good.starts_with("exit code 0") && !good.contains("no mail server"), "{good}");
    assert!(good.contains("smtp.example.com:465, TLS, with a password") && !good.contains("hunter2"), "{good}");
    let none = check(SECRETS, &[]);
    assert!(none.starts_with("exit code 0") && none.contains("no mail server is configured"), "{none}");
    for (environment, told) in [
        (vec![url], "email_from_address: is required"),
        (vec![from], "email_smtp_url: is required"),
        (vec![("PDS_EMAIL_SMTP_URL", "http://user:hunter2@smtp.example.com"), from], "not http"),
        (vec![url, ("PDS_EMAIL_FROM_ADDRESS", "a@example.com\r\nBcc: b@example.com")], "PDS_EMAIL_FROM_ADDRESS"),
    ] {
        let refused = check(SECRETS, &environment);
        assert!(refused.starts_with("exit code 2") && refused.contains(told), "{told}: {refused}");
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}

#[test]
fn a_gate_that_is_half_up_is_told_before_the_start() {
    let twilio =
        [("ALLOD_TWILIO_ACCOUNT_SID", "AC1"), ("ALLOD_TWILIO_AUTH_TOKEN", "t"), ("ALLOD_TWILIO_SERVICE_SID", "VA1")];
    let required = ("ALLOD_PHONE_VERIFICATION_REQUIRED", "true");
    let missing = "phone verification needs Twilio: set twilio_account_sid, twilio_auth_token and twilio_service_sid";
    for environment in [vec![required], vec![required, twilio[0], twilio[1]], vec![twilio[2]]] {
        let bad = check(SECRETS, &environment);
        assert!(bad.starts_with("exit code 2") && bad.contains(missing), "{bad}");
    }
    let zero = check(SECRETS, &[("ALLOD_PHONE_ACCOUNTS_MAX", "0")]);
    assert!(zero.starts_with("exit code 2") && zero.contains("must be 1 to 1000000"), "{zero}");
    for environment in [vec![required, twilio[0], twilio[1], twilio[2]], vec![required, ("PDS_DEV_MODE", "true")]] {
        let good = check(SECRETS, &environment);
        assert!(good.starts_with("exit code 0") && !good.contains(" t "), "{good}");
    }
}

#[test]
fn a_queue_that_nobody_would_wait_in_is_told_before_the_start() {
    let queue = ("ALLOD_SIGN_UP_QUEUE", "true");
    let bad = check(SECRETS, &[queue]);
    assert!(bad.starts_with("exit code 2") && bad.contains("has no effect with invite_required"), "{bad}");
    let open = ("PDS_INVITE_REQUIRED", "false");
    let too_many = check(SECRETS, &[queue, open, ("ALLOD_SIGN_UP_QUEUE_PER_HOUR", "5001")]);
    assert!(too_many.starts_with("exit code 2") && too_many.contains("must be 0 to 5000"), "{too_many}");
    let good = check(SECRETS, &[queue, open, ("ALLOD_SIGN_UP_QUEUE_PER_HOUR", "20")]);
    assert!(good.starts_with("exit code 0"), "{good}");
}

#[test]
fn captchas_are_of_one_provider_and_instead_of_a_telephone_number() {
    let hcaptcha = [("PDS_HCAPTCHA_SITE_KEY", "site"), ("PDS_HCAPTCHA_SECRET_KEY", "hidden")];
    let turnstile = [("ALLOD_TURNSTILE_SITE_KEY", "site"), ("ALLOD_TURNSTILE_SECRET_KEY", "hidden")];
    for environment in [hcaptcha, turnstile] {
        let good = check(SECRETS, &environment);
        assert!(good.starts_with("exit code 0") && !good.contains("hidden"), "{good}");
        let both = check(SECRETS, &[environment[0], environment[1], ("ALLOD_PHONE_VERIFICATION_REQUIRED", "true")]);
        assert!(both.starts_with("exit code 2") && both.contains("only one verificationCode"), "{both}");
    }
    for environment in [vec![hcaptcha[0]], vec![turnstile[1]], [hcaptcha, turnstile].concat()] {
        let bad = check(SECRETS, &environment);
        assert!(
            bad.starts_with("exit code 2") && bad.contains("of exactly one provider, hCaptcha or Turnstile"),
            "{bad}"
        );
    }
}
