//! Base58 in the Bitcoin alphabet, of short inputs only: its cost grows with the square of the length.

/// The longest text that is decoded, in bytes. A multibase key of the largest form has 93.
const TEXT_BYTES_MAX: usize = 256;

/// Encodes bytes.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bs58::encode(bytes).into_string()
}

/// Decodes text; `None` if it is not base58 or longer than this crate ever needs.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > TEXT_BYTES_MAX {
        return None;
    }
    bs58::decode(text).into_vec().ok()
}
