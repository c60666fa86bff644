//! `allod secrets`: makes the secrets a server needs.

use std::path::Path;

use allod_atproto::crypto::{Curve, SigningKey};
use allod_base::randomness::{Randomness, bytes};
use data_encoding::{BASE32_NOPAD, HEXLOWER};

use super::{Failure, load_config, usable};
use crate::{output, system::SystemRandomness};

/// Prints new secrets in the form of a pds.env file, or of a configuration file.
pub(super) fn generate(toml: bool) {
    let (jwt_secret, admin_password, rotation_key) = (new_token_secret(), new_token_secret(), new_rotation_key());
    let master_key = new_master_key();
    output::text(if toml {
        toml_fragment(&jwt_secret, &admin_password, &rotation_key, &master_key)
    } else {
        format!(
            "PDS_JWT_SECRET={jwt_secret}\nPDS_ADMIN_PASSWORD={admin_password}\n\
             PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX={rotation_key}\nALLOD_MASTER_KEY_HEX={master_key}\n"
        )
    });
}

/// The secrets as lines of a configuration file.
pub(crate) fn toml_fragment(jwt_secret: &str, admin_password: &str, rotation_key: &str, master_key: &str) -> String {
    format!(
        "jwt_secret = \"{jwt_secret}\"\nadmin_password = \"{admin_password}\"\n\
         plc_rotation_key_k256_private_key_hex = \"{rotation_key}\"\nmaster_key_hex = \"{master_key}\"\n"
    )
}

/// Prints the master key that the configuration comes to, derived or not, in the form of a pds.env file.
pub(super) fn print_master_key(config: Option<&Path>) -> Result<(), Failure> {
    let (settings, _) = usable(load_config(config)?)?;
    output::text(format_args!("ALLOD_MASTER_KEY_HEX={}\n", HEXLOWER.encode(settings.master_key().expose())));
    Ok(())
}

/// A new key that encrypts signing keys, in hexadecimal digits.
pub(crate) fn new_master_key() -> String {
    HEXLOWER.encode(&bytes::<32>(&SystemRandomness))
}

/// A secret text of 128 bits, in hexadecimal digits.
pub(crate) fn new_token_secret() -> String {
    HEXLOWER.encode(&bytes::<16>(&SystemRandomness))
}

/// A new secp256k1 private key, in hexadecimal digits.
pub(crate) fn new_rotation_key() -> String {
    private_key_hex(&new_key())
}

/// A new secp256k1 key.
pub(crate) fn new_key() -> SigningKey {
    SigningKey::generate(Curve::K256, &mut |buffer| SystemRandomness.fill(buffer))
}

/// A private key in the form that settings and people get it in.
pub(crate) fn private_key_hex(key: &SigningKey) -> String {
    HEXLOWER.encode(&*key.to_bytes())
}

/// A password of 100 bits, in four groups that can be read out.
pub(crate) fn new_password() -> String {
    let letters = BASE32_NOPAD.encode(&bytes::<13>(&SystemRandomness)).to_lowercase();
    let letters: Vec<char> = letters.chars().take(20).collect();
    letters.chunks(5).map(|group| group.iter().collect::<String>()).collect::<Vec<_>>().join("-")
}
