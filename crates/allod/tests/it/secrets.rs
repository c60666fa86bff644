//! `allod secrets`.

use crate::process::Allod;

#[test]
fn a_server_takes_the_generated_secrets_as_they_are() {
    let allod = Allod::new();
    let fragment = allod.run(&["secrets", "generate"]).ok();
    let pairs: Vec<(&str, &str)> = fragment.lines().map(|line| line.split_once('=').unwrap()).collect();
    let lengths: Vec<(&str, usize)> = pairs.iter().map(|(name, value)| (*name, value.len())).collect();
    let expected = [
        ("PDS_JWT_SECRET", 32),
        ("PDS_ADMIN_PASSWORD", 32),
        ("PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX", 64),
        ("ALLOD_MASTER_KEY_HEX", 64),
    ];
    assert_eq!(lengths, expected);
    let outcome = allod.run_with(&["config", "check"], &pairs);
    let is_about_others =
        |line: &str| line.starts_with("warning: no mail server") || line.starts_with("warning: no relay");
    assert!(outcome.code == 0 && outcome.stderr.lines().all(is_about_others), "{}", outcome.stderr);
    let toml = allod.run(&["secrets", "generate", "--toml"]).ok();
    allod.write("generated.toml", &toml);
    let outcome = allod.run(&["config", "check", "--config", "generated.toml"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);

    assert_ne!(fragment, allod.run(&["secrets", "generate"]).ok(), "two runs make different secrets");
}

#[test]
fn a_derived_master_key_is_warned_of_and_can_be_set() {
    let allod = Allod::new();
    let fragment = allod.run(&["secrets", "generate"]).ok();
    let pairs: Vec<(&str, &str)> = fragment.lines().map(|line| line.split_once('=').unwrap()).collect();
    let warned = |outcome: &str| outcome.contains("warning: master_key_hex: is not set: it is derived");

    assert!(!warned(&allod.run_with(&["config", "check"], &pairs).stderr), "a new server has a key of its own");
    let own = allod.run_with(&["secrets", "master-key"], &pairs).ok();
    assert_eq!(own.trim_end(), format!("ALLOD_MASTER_KEY_HEX={}", pairs[3].1));

    let (rotation_key, derived) = ("1".repeat(64), "ALLOD_MASTER_KEY_HEX=");
    let before = [pairs[0], pairs[1], (pairs[2].0, rotation_key.as_str())];
    assert!(warned(&allod.run_with(&["config", "check"], &before).stderr));
    let printed = allod.run_with(&["secrets", "master-key"], &before).ok();
    let key = printed.trim_end().strip_prefix(derived).unwrap().to_owned();
    // HKDF-SHA256 without salt of 32 bytes 0x11, label `allod master key v1`: servers that run depend on it.
    assert_eq!(key, "dfcfb31c6c25ad5f80caab34f52519a79fdf7cb18774503d859f082977407d9e");
    let after = [before[0], before[1], pairs[2], (pairs[3].0, key.as_str())];
    assert!(!warned(&allod.run_with(&["config", "check"], &after).stderr), "with another rotation key");
    assert_eq!(allod.run_with(&["secrets", "master-key"], &after).ok(), printed);
}
