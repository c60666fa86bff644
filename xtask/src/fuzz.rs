//! `cargo xtask fuzz`: every target for some seconds, by libFuzzer where there is a C++ compiler, else by the plain
//! runner of `crates/fuzz-targets`.
//!
//! Owns how the targets are built for libFuzzer: what cargo-fuzz does, without a sanitizer, as none of our code is
//! unsafe. So the pinned compiler will do: only sanitizers need a nightly one.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::SystemTime;

use clap::Args;

use crate::timing;

/// What makes the compiler count edges and comparisons for libFuzzer.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Ccodegen-units=1";
/// The longest input that libFuzzer makes, in bytes.
const INPUT_BYTES_MAX: u32 = 65_536;
/// How long one input may take, in seconds.
const INPUT_SECS_MAX: u32 = 10;
/// How much memory a target may take, in MiB.
const TARGET_MIB_MAX: u32 = 2048;

/// What `fuzz` can be told.
#[derive(Args)]
#[command(after_help = "\
Prints the number of runs of each target. When a target fails, prints the path of the input, which
is left in fuzz/artifacts/NAME/; the exit code is 1 at the end. The exit code is 1, with another
message, when the targets can't be built.

libFuzzer needs a C++ compiler (c++, or what CXX names). Inputs that reach new code are kept in
fuzz/target/corpus/NAME/, where the next run begins. To run one input again, or to make it smaller:

    fuzz/target/TRIPLE/debug/NAME INPUT
    fuzz/target/TRIPLE/debug/NAME -minimize_crash=1 -max_total_time=60 INPUT")]
pub(crate) struct Options {
    /// How long each target runs, in seconds.
    #[arg(long, value_name = "N", default_value_t = 20)]
    secs: u64,
    /// Runs only this target; can be given more than once. Without it: all.
    #[arg(long, value_name = "NAME")]
    target: Vec<String>,
    /// Uses the plain runner, which mutates without coverage, also where there is a C++ compiler.
    #[arg(long)]
    plain: bool,
    /// What the plain runner's mutations begin with: the same number makes the same inputs.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// Why the run is no success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FuzzError {
    /// A program can't be run, or a folder can't be read.
    #[error("{what}: {source}")]
    Io { what: String, source: io::Error },
    /// Nothing was built, so nothing ran.
    #[error("the targets can't be built, see above; none was run")]
    Build,
    /// The compiler does not say for which machine it compiles.
    #[error("`rustc -vV` names no host")]
    NoHost,
    /// Targets found something, or could not be run.
    #[error("targets that failed: {}", .0.join(", "))]
    Failed(Vec<String>),
    /// `--target` names nothing.
    #[error("there is no target {0:?}; there are {known}", known = .1.join(", "))]
    Unknown(String, Vec<String>),
}

/// How targets are run.
enum Fuzzer {
    /// Programs with libFuzzer, in this folder.
    Lib(PathBuf),
    /// The plain runner.
    Plain(PathBuf),
}

/// How a target's run ended.
struct Outcome {
    status: ExitStatus,
    /// How many inputs were run, if the target lived to tell.
    runs: Option<u64>,
    secs: f64,
    /// The inputs that were left.
    inputs: Vec<PathBuf>,
}

/// Runs the targets one after the other.
///
/// Errors: they can't be built, or one of them finds something.
pub(crate) fn run(root: &Path, options: &Options) -> Result<(), FuzzError> {
    let names = names(root, &options.target)?;
    let fuzzer = if options.plain {
        build_plain(root)?
    } else if has_cpp_compiler() {
        build(root, &names)?
    } else {
        crate::say("no C++ compiler (c++, or what CXX names): the plain runner, without coverage");
        build_plain(root)?
    };
    let mut failed = Vec::new();
    for name in names {
        let outcome = fuzz(root, options, &fuzzer, &name)?;
        crate::tell(&told(root, &name, &outcome));
        if !outcome.status.success() {
            failed.push(name);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(FuzzError::Failed(failed)) }
}

/// Lists the targets that are wanted, by the files of `fuzz/fuzz_targets`.
fn names(root: &Path, wanted: &[String]) -> Result<Vec<String>, FuzzError> {
    let mut names: Vec<String> = list(&root.join("fuzz/fuzz_targets"))?
        .iter()
        .filter_map(|path| path.file_stem().map(|name| name.to_string_lossy().into_owned()))
        .collect();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains(name)) {
        return Err(FuzzError::Unknown(unknown.clone(), names));
    }
    names.retain(|name| wanted.is_empty() || wanted.contains(name));
    Ok(names)
}

fn list(folder: &Path) -> Result<BTreeSet<PathBuf>, FuzzError> {
    let failed = |source| FuzzError::Io { what: folder.display().to_string(), source };
    fs::read_dir(folder).map_err(failed)?.map(|entry| entry.map(|entry| entry.path()).map_err(failed)).collect()
}

/// Lists files with their times: an input that is found again is written again.
fn dated(folder: &Path) -> Result<BTreeSet<(PathBuf, SystemTime)>, FuzzError> {
    let dated = |path: PathBuf| match path.metadata().and_then(|metadata| metadata.modified()) {
        Ok(time) => Ok((path, time)),
        Err(source) => Err(FuzzError::Io { what: path.display().to_string(), source }),
    };
    list(folder)?.into_iter().map(dated).collect()
}

/// libFuzzer is written in C++; the crate libfuzzer-sys compiles it.
fn has_cpp_compiler() -> bool {
    let compiler = env::var_os("CXX").unwrap_or_else(|| "c++".into());
    let mut compiler = Command::new(compiler);
    compiler.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    compiler.status().is_ok_and(|status| status.success())
}

/// Builds the programs with libFuzzer for these targets.
fn build(root: &Path, names: &[String]) -> Result<Fuzzer, FuzzError> {
    let folder = root.join("fuzz");
    let host = host(root)?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked"]).current_dir(&folder).env("RUSTFLAGS", COVERAGE);
    cargo.args(names.iter().flat_map(|name| ["--bin", name]));
    // The target is named so that build scripts and macros are not measured.
    cargo.args(["--target", &host, "--target-dir", "target"]);
    if cargo.status().map_err(|source| cannot_run(&cargo, source))?.success() {
        Ok(Fuzzer::Lib(folder.join("target").join(host).join("debug")))
    } else {
        Err(FuzzError::Build)
    }
}

fn build_plain(root: &Path) -> Result<Fuzzer, FuzzError> {
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--locked", "-p", "allod-fuzz-targets", "--target-dir", "target"]).current_dir(root);
    if cargo.status().map_err(|source| cannot_run(&cargo, source))?.success() {
        Ok(Fuzzer::Plain(root.join("target/debug/allod-fuzz-targets")))
    } else {
        Err(FuzzError::Build)
    }
}

/// The machine that the compiler compiles for unless it is told: this one.
fn host(root: &Path) -> Result<String, FuzzError> {
    let mut rustc = Command::new("rustc");
    rustc.arg("-vV").current_dir(root).stderr(Stdio::inherit());
    let output = rustc.output().map_err(|source| cannot_run(&rustc, source))?;
    host_of(&String::from_utf8_lossy(&output.stdout)).map(str::to_owned).ok_or(FuzzError::NoHost)
}

fn host_of(answer: &str) -> Option<&str> {
    answer.lines().find_map(|line| line.strip_prefix("host: "))
}

fn fuzz(root: &Path, options: &Options, fuzzer: &Fuzzer, name: &str) -> Result<Outcome, FuzzError> {
    let folder = root.join("fuzz");
    let (corpus, artifacts) = (folder.join("corpus"), folder.join("artifacts").join(name));
    let grown = folder.join("target/corpus").join(name);
    for folder in [&grown, &artifacts] {
        fs::create_dir_all(folder).map_err(|source| FuzzError::Io { what: folder.display().to_string(), source })?;
    }
    let mut command = match fuzzer {
        Fuzzer::Lib(programs) => {
            let mut command = Command::new(programs.join(name));
            command.arg(grown).arg(corpus.join(name)).arg(format!("-max_total_time={}", options.secs));
            command.args([format!("-max_len={INPUT_BYTES_MAX}"), format!("-timeout={INPUT_SECS_MAX}")]);
            command.arg(format!("-rss_limit_mb={TARGET_MIB_MAX}")).args(["-print_final_stats=1", "-verbosity=0"]);
            command.arg(format!("-artifact_prefix={}/", artifacts.display()));
            command
        }
        Fuzzer::Plain(program) => {
            let mut command = Command::new(program);
            command.arg(corpus).arg(&artifacts).args([options.secs.to_string(), options.seed.to_string()]).arg(name);
            command
        }
    };
    let before = dated(&artifacts)?;
    let start = timing::now();
    let (status, runs) = watched(&mut command).map_err(|source| cannot_run(&command, source))?;
    let inputs = dated(&artifacts)?.difference(&before).map(|(path, _)| path.clone()).collect();
    Ok(Outcome { status, runs, secs: start.elapsed().as_secs_f64(), inputs })
}

/// Runs a target, shows what it says, and takes the number of runs out of it.
fn watched(command: &mut Command) -> io::Result<(ExitStatus, Option<u64>)> {
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mut runs = None;
    if let Some(output) = child.stderr.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            match runs_of(&line) {
                Some(number) => runs = Some(number),
                None if is_noise(&line) => {}
                None => crate::say(&line),
            }
        }
    }
    Ok((child.wait()?, runs))
}

/// Other figures of libFuzzer's, and words that it recommends.
fn is_noise(line: &str) -> bool {
    ["stat::", "######", "\tNEW_FUNC"].iter().any(|start| line.starts_with(start)) || line.contains("\" # Uses: ")
}

fn runs_of(line: &str) -> Option<u64> {
    line.strip_prefix("stat::number_of_executed_units:")?.trim().parse().ok()
}

/// The line of a target's result, and one for each input that it failed on.
fn told(root: &Path, name: &str, outcome: &Outcome) -> String {
    let runs = outcome.runs.map_or_else(|| "an unknown number of".to_owned(), |runs| runs.to_string());
    let told = format!("{name}: {runs} runs in {:.0} s", outcome.secs);
    if outcome.status.success() {
        return told;
    }
    if outcome.inputs.is_empty() {
        return format!("{told}; FAILED without an input: {}", outcome.status);
    }
    let inputs = outcome.inputs.iter().map(|input| input.strip_prefix(root).unwrap_or(input).display().to_string());
    format!("{told}; FAILED on {}", inputs.collect::<Vec<_>>().join(", "))
}

fn cannot_run(command: &Command, source: io::Error) -> FuzzError {
    FuzzError::Io { what: command.get_program().to_string_lossy().into_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_says_for_which_machine() {
        let answer = "rustc 1.95.0\nbinary: rustc\nhost: aarch64-unknown-linux-gnu\nrelease: 1.95.0\n";
        assert_eq!(host_of(answer), Some("aarch64-unknown-linux-gnu"));
        assert_eq!(host_of("rustc 1.95.0"), None);
    }

    #[test]
    fn a_line_tells_the_runs() {
        assert_eq!(runs_of("stat::number_of_executed_units: 16384"), Some(16_384));
        assert_eq!(runs_of("stat::average_exec_per_sec:     0"), None);
    }

    #[test]
    fn a_failure_names_its_input() {
        use std::os::unix::process::ExitStatusExt;
        let root = Path::new("/project");
        let outcome = |status, inputs: &[&str]| Outcome {
            status: ExitStatus::from_raw(status),
            runs: Some(7),
            secs: 20.4,
            inputs: inputs.iter().map(PathBuf::from).collect(),
        };
        assert_eq!(told(root, "car", &outcome(0, &["/project/fuzz/artifacts/car/slow-unit-1"])), "car: 7 runs in 20 s");
        let failed = told(root, "car", &outcome(77 << 8, &["/project/fuzz/artifacts/car/crash-1"]));
        assert_eq!(failed, "car: 7 runs in 20 s; FAILED on fuzz/artifacts/car/crash-1");
        let ended = told(root, "car", &outcome(11, &[]));
        assert!(ended.contains("FAILED without an input: signal: 11"), "{ended}");
    }
}
