//! What one record costs on its way in and out, as the example `records` of crates/lexicon measures it.

use std::io;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::BenchError;

/// Names the file of results.
pub(super) const NAME: &str = "validate";

/// Builds and runs the example; gives what it prints.
#[expect(clippy::disallowed_methods, reason = "the example wrote it")]
pub(super) fn measure(root: &Path) -> Result<Value, BenchError> {
    let output = Command::new("cargo")
        .args(["run", "--release", "--locked", "-p", "allod-lexicon", "--example", "records"])
        .current_dir(root)
        .stderr(std::process::Stdio::inherit())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other("the example does not run").into());
    }
    Ok(serde_json::from_slice(&output.stdout).map_err(io::Error::from)?)
}
