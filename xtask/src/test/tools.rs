//! The tools that other people's clients need, installed below `target/clients` where they can be.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The oldest node that runs the clients.
const NODE_MAJOR_MIN: u32 = 22;

/// A tool that is missing, and how to get it.
#[derive(Debug)]
pub(super) struct Missing(pub(super) String);

/// Asks a program for its version; `None` when it does not run.
pub(super) fn version(program: impl AsRef<std::ffi::OsStr>, flag: &str) -> Option<String> {
    let output = Command::new(program).arg(flag).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The installed node clients.
pub(super) struct Node {
    /// The folder with the scripts and `node_modules`.
    pub(super) folder: PathBuf,
    /// The node that runs them.
    pub(super) program: PathBuf,
}

/// Installs the node clients, unless they are there already, and copies the scripts beside them.
pub(super) fn node(root: &Path) -> io::Result<Result<Node, Missing>> {
    let (own, folder) = (root.join("clients/node"), root.join("target/clients/node"));
    if version("npm", "--version").is_none() {
        return Ok(Err(Missing("npm does not run; install Node.js 20 or newer with npm".to_owned())));
    }
    fs::create_dir_all(&folder)?;
    let locks = ["package.json", "package-lock.json"];
    let fresh = locks.iter().all(|name| same(&own.join(name), &folder.join(name)));
    copy_scripts(&own, &folder)?;
    if !fresh || !folder.join("node_modules/.package-lock.json").exists() {
        crate::say("installing the node clients into target/clients/node");
        for name in locks {
            fs::copy(own.join(name), folder.join(name))?;
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(&folder);
        if !npm.status()?.success() {
            let _ = fs::remove_file(folder.join("package-lock.json"));
            return Err(io::Error::other("npm ci failed; it needs the npm registry"));
        }
    }
    let candidates = [folder.join("node_modules/.bin/node"), PathBuf::from("node")];
    let program = candidates.into_iter().find(|program| {
        version(program, "--version").and_then(|version| major(&version)).is_some_and(|major| major >= NODE_MAJOR_MIN)
    });
    Ok(match program {
        Some(program) => Ok(Node { folder, program }),
        None => Err(Missing(format!("no Node.js {NODE_MAJOR_MIN}: npm's package `node` did not bring one"))),
    })
}

/// Installs the python clients into a virtual environment, unless they are there already; answers its python.
pub(super) fn python(root: &Path) -> io::Result<Result<PathBuf, Missing>> {
    let wanted = root.join("clients/python/requirements.txt");
    let folder = root.join("target/clients/python");
    let (program, stamp) = (folder.join("bin/python"), folder.join("requirements.txt"));
    if same(&wanted, &stamp) && version(&program, "--version").is_some() {
        return Ok(Ok(program));
    }
    if version("python3", "--version").is_none() {
        return Ok(Err(Missing("python3 does not run; install Python 3.10 or newer with its venv module".to_owned())));
    }
    crate::say("installing the python clients into target/clients/python");
    if !Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder).status()?.success() {
        return Ok(Err(Missing("python3 has no venv module; on Debian it is the package python3-venv".to_owned())));
    }
    let mut pip = Command::new(&program);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&wanted);
    if !pip.status()?.success() {
        return Err(io::Error::other("pip install failed; it needs the Python package index"));
    }
    fs::copy(&wanted, &stamp)?;
    Ok(Ok(program))
}

/// Reads `22` from `v22.1.0`.
fn major(version: &str) -> Option<u32> {
    version.trim_start_matches('v').split('.').next()?.parse().ok()
}

fn same(a: &Path, b: &Path) -> bool {
    matches!((fs::read(a), fs::read(b)), (Ok(a), Ok(b)) if a == b)
}

/// Copies what is not node's own: the scripts and the tests, without those that are gone.
fn copy_scripts(from: &Path, to: &Path) -> io::Result<()> {
    let tests = to.join("tests");
    if tests.exists() {
        fs::remove_dir_all(&tests)?;
    }
    fs::create_dir_all(&tests)?;
    for folder in ["", "tests"] {
        for entry in fs::read_dir(from.join(folder))? {
            let path = entry?.path();
            if let (Some("mjs"), Some(name)) = (path.extension().and_then(|kind| kind.to_str()), path.file_name()) {
                fs::copy(&path, to.join(folder).join(name))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_node_version() {
        assert_eq!(major("v22.23.3"), Some(22));
        assert_eq!(major("20.1"), Some(20));
        assert_eq!(major("none"), None);
    }

    #[test]
    fn a_program_that_is_not_there_has_no_version() {
        assert_eq!(version("allod-no-such-program", "--version"), None);
    }
}
