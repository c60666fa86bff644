//! `allod secrets generate`.

use crate::process::Allod;

#[test]
fn a_server_takes_the_generated_secrets_as_they_are() {
    let allod = Allod::new();
    let fragment = allod.run(&["secrets", "generate"]).ok();
    let pairs: Vec<(&str, &str)> = fragment.lines().map(|line| line.split_once('=').unwrap()).collect();
    let lengths: Vec<(&str, usize)> = pairs.iter().map(|(name, value)| (*name, value.len())).collect();
    let expected =
        [("PDS_JWT_SECRET", 32), ("PDS_ADMIN_PASSWORD", 32), ("PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX", 64)];
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
