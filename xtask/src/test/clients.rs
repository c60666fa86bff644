//! Other people's clients against a fresh server: what a new user tries first.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use super::canaries;
use super::count::Count;
use super::step::{Outcome, stream};
use super::{Surroundings, documents, tools};
use crate::servers::{self, Server};

/// The admin password of a server by `allod serve`; `allod dev` makes its own and prints it.
const ADMIN_PASSWORD: &str = "clients-admin-password";
/// The documents whose curl lines must work.
const DOCUMENTS: &[&str] = &["README.md", "docs/legacy.md"];
/// What `allod dev` prints, taken as one more document.
const BANNER: &str = "allod dev";
/// The suites on accounts: they need only a server and some directory.
const ACCOUNT_SUITES: &[&str] = &["session", "refusals", "identity", "legacy"];
/// The suites on records, repositories and the event stream: whose directory it is makes no difference to them.
const RECORD_SUITES: &[&str] = &["records", "blobs", "repository", "atcute", "sync"];
/// The suites that need what a development server alone has: letters that are shown, a queue, did:webs of its own.
const DEVELOPMENT_SUITES: &[&str] = &["accounts", "migration", "queue", "did-web"];
/// Where the passwords are that the clients use.
const SOURCES_WITH_PASSWORDS: &[&str] = &[
    "README.md",
    "docs/legacy.md",
    "clients/node/network.mjs",
    "clients/node/tests/accounts.test.mjs",
    "clients/python/test_accounts.py",
];
/// Judges what all the others made.
const EVERY_LOG: &str = "zz-every-log";
/// A queue that moves fast.
const QUEUE: &[(&str, &str)] = &[("ALLOD_SIGN_UP_QUEUE", "true"), ("ALLOD_SIGN_UP_QUEUE_PER_HOUR", "5000")];

/// A server and its directory, both gone when this is dropped.
struct Network {
    pds_url: String,
    /// Another server that uses the same directory.
    second_pds_url: Option<String>,
    /// Another one, where sign-ups wait until they are let in, a moment later.
    queueing_pds_url: Option<String>,
    plc_url: String,
    admin_password: String,
    /// What `allod dev` has printed.
    banner: String,
    processes: Vec<Server>,
}

/// The curl lines of the documentation, as they are written.
pub(super) fn curl(at: &Surroundings<'_>) -> io::Result<Outcome> {
    if tools::version("curl", "--version").is_none() {
        return Ok(Outcome::Lacks("curl does not run; install curl".to_owned()));
    }
    let mut count = Count::default();
    for document in DOCUMENTS.iter().copied().chain([BANNER]) {
        let network = development(at, "curl")?;
        let blocks = match document {
            BANNER => documents::banner_curl(&network.banner).into_iter().collect(),
            path => documents::curl_blocks(&fs::read_to_string(at.root.join(path))?),
        };
        let script = documents::script(&blocks, &network.pds_url, &network.plc_url);
        crate::say(&format!("the curl lines of {document}: {} blocks", blocks.len()));
        let mut shell = Command::new("bash");
        shell.args(["-c", &script]).current_dir(servers::scratch(at.root, "curl-lines")?);
        let passed = stream(network.environment(&mut shell), |_| {})?.success() && !blocks.is_empty();
        count += Count { passed: blocks.len() * usize::from(passed), failed: usize::from(!passed) };
    }
    Ok(Outcome::Ran(count))
}

/// The node clients against `allod dev`, and every audit log in its directory at the end.
pub(super) fn node(at: &Surroundings<'_>) -> io::Result<Outcome> {
    let node = match tools::node(at.root)? {
        Ok(node) => node,
        Err(missing) => return Ok(Outcome::Lacks(missing.0)),
    };
    let mut network = development(at, "node")?;
    network.second_pds_url = Some(network.add(at, "second", &[])?);
    network.queueing_pds_url = Some(network.add(at, "queueing", QUEUE)?);
    let mut count = run_node(&node, &network, &[ACCOUNT_SUITES, RECORD_SUITES, DEVELOPMENT_SUITES].concat())?;
    count += run_node(&node, &network, &[EVERY_LOG])?;
    Ok(Outcome::Ran(count))
}

/// The python client against `allod dev`; its audit logs are judged by the node client, where that is installed.
pub(super) fn python(at: &Surroundings<'_>) -> io::Result<Outcome> {
    let python = match tools::python(at.root)? {
        Ok(python) => python,
        Err(missing) => return Ok(Outcome::Lacks(missing.0)),
    };
    let network = development(at, "python")?;
    let mut count = Count::default();
    let mut command = Command::new(python);
    // The report goes to standard error; the shell brings it to standard output, where it is read.
    command.arg("-c").arg(PYTHON_RUNNER).current_dir(at.root.join("clients/python"));
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    let status = stream(network.environment(&mut command), |line| count += Count::of_unittest(line))?;
    count = count.with_status(status.success());
    match tools::node(at.root)? {
        Ok(node) => count += run_node(&node, &network, &[EVERY_LOG])?,
        Err(missing) if at.in_ci => return Ok(Outcome::Lacks(missing.0)),
        Err(missing) => crate::say(&format!("SKIPPED, NOT TESTED: the audit logs: {}", missing.0)),
    }
    Ok(Outcome::Ran(count))
}

/// Runs the tests with their report on standard output.
const PYTHON_RUNNER: &str = "import sys, unittest
runner = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, descriptions=False, warnings='ignore')
suite = unittest.defaultTestLoader.discover('.')
sys.exit(not runner.run(suite).wasSuccessful())";

/// `allod serve` with npm's directory in place of ours, and the node clients against both.
pub(super) fn directory(at: &Surroundings<'_>) -> io::Result<Outcome> {
    let node = match tools::node(at.root)? {
        Ok(node) => node,
        Err(missing) => return Ok(Outcome::Lacks(missing.0)),
    };
    let network = foreign_directory(at, &node)?;
    Ok(Outcome::Ran(run_node(&node, &network, ACCOUNT_SUITES)?))
}

/// Starts `allod dev`: a server and Allod's own directory, nothing left behind.
fn development(at: &Surroundings<'_>, name: &str) -> io::Result<Network> {
    let root = at.root;
    build(root)?;
    let scratch = servers::scratch(root, &format!("clients-{name}"))?;
    let (port, plc_port) = (servers::free_port()?, servers::free_port()?);
    let (pds_url, plc_url) = (format!("http://localhost:{port}"), format!("http://localhost:{plc_port}"));
    let mut command = Command::new(servers::allod(root, "debug"));
    command.args(["dev", "--ephemeral", "--port", &port.to_string(), "--plc-port", &plc_port.to_string()]);
    command.current_dir(&scratch);
    let output = scratch.join("server.log");
    let mut server = start(at, "allod dev", name, &mut command, &output)?;
    server.wait_for(&pds_url, "/xrpc/_health")?;
    let banner = fs::read_to_string(&output)?;
    let admin_password = documents::admin_password(&banner);
    let admin_password = admin_password.ok_or_else(|| io::Error::other("allod dev printed no admin password"))?;
    note_secrets(at, &admin_password)?;
    let processes = vec![server];
    Ok(Network { pds_url, second_pds_url: None, queueing_pds_url: None, plc_url, admin_password, banner, processes })
}

/// Starts `allod serve` by the reference's environment names, against npm's directory.
fn foreign_directory(at: &Surroundings<'_>, node: &tools::Node) -> io::Result<Network> {
    let root = at.root;
    build(root)?;
    let scratch = servers::scratch(root, "clients-directory")?;
    let (port, plc_port) = (servers::free_port()?, servers::free_port()?);
    let (pds_url, plc_url) = (format!("http://localhost:{port}"), format!("http://localhost:{plc_port}"));

    let mut command = Command::new(&node.program);
    command.arg("directory.mjs").arg(plc_port.to_string()).current_dir(&node.folder);
    let mut directory = Server::spawn("npm @did-plc/server", &mut command, &scratch.join("directory.log"))?;
    directory.wait_for(&plc_url, "/_health")?;

    let mut command = Command::new(servers::allod(root, "debug"));
    command.arg("serve").current_dir(&scratch);
    command.envs(servers::serve_environment(port, &plc_url, &scratch.join("data"), ADMIN_PASSWORD));
    let mut server = start(at, "allod serve", "directory", &mut command, &scratch.join("server.log"))?;
    server.wait_for(&pds_url, "/xrpc/_health")?;
    let processes = vec![server, directory];
    let admin_password = ADMIN_PASSWORD.to_owned();
    let banner = String::new();
    Ok(Network { pds_url, second_pds_url: None, queueing_pds_url: None, plc_url, admin_password, banner, processes })
}

/// Starts a server of ours. If what servers write is searched, it logs at its most verbose to where that is done.
fn start(at: &Surroundings<'_>, name: &str, label: &str, command: &mut Command, output: &Path) -> io::Result<Server> {
    let Some(folder) = &at.canaries else { return Server::spawn(name, command, output) };
    let mut count = 0;
    let log = loop {
        let log = folder.join(format!("clients-{label}-{count}.log"));
        if !log.exists() {
            break log;
        }
        count += 1;
    };
    Server::spawn_apart(name, command.env("ALLOD_LOG", "trace"), output, &log)
}

/// Notes what the clients and the servers for them keep secret.
fn note_secrets(at: &Surroundings<'_>, admin_password: &str) -> io::Result<()> {
    let Some(folder) = &at.canaries else { return Ok(()) };
    let mut passwords = Vec::new();
    for path in SOURCES_WITH_PASSWORDS {
        let found = documents::passwords(&fs::read_to_string(at.root.join(path))?);
        if found.is_empty() {
            return Err(io::Error::other(format!("{path} has no password that could be looked for")));
        }
        passwords.extend(found);
    }
    let mut secrets: Vec<(&str, &str)> = passwords.iter().map(|password| ("password", password.as_str())).collect();
    secrets.extend([("administration", admin_password), ("administration", ADMIN_PASSWORD)]);
    secrets.extend([("key", servers::JWT_SECRET), ("key", servers::ROTATION_KEY_HEX)]);
    canaries::note(folder, &secrets)
}

fn build(root: &Path) -> io::Result<()> {
    let status =
        Command::new("cargo").args(["build", "--quiet", "--locked", "-p", "allod"]).current_dir(root).status()?;
    if status.success() { Ok(()) } else { Err(io::Error::other("the allod binary does not build")) }
}

fn run_node(node: &tools::Node, network: &Network, suites: &[&str]) -> io::Result<Count> {
    let tap = node.folder.join("report.tap");
    let mut command = Command::new(&node.program);
    command.args(["--test", "--test-concurrency=1", "--test-reporter=spec", "--test-reporter-destination=stdout"]);
    command.arg("--test-reporter=tap").arg(format!("--test-reporter-destination={}", tap.display()));
    command.args(suites.iter().map(|suite| format!("tests/{suite}.test.mjs"))).current_dir(&node.folder);
    let status = stream(network.environment(&mut command), |_| {})?;
    let mut count = Count::default();
    fs::read_to_string(&tap)?.lines().for_each(|line| count += Count::of_tap(line));
    Ok(count.with_status(status.success()))
}

impl Network {
    fn environment<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        for (name, url) in [("SECOND_PDS_URL", &self.second_pds_url), ("QUEUEING_PDS_URL", &self.queueing_pds_url)] {
            if let Some(url) = url {
                command.env(name, url);
            }
        }
        command.env("PDS_URL", &self.pds_url).env("PLC_URL", &self.plc_url).env("ADMIN_PASSWORD", &self.admin_password)
    }

    /// Starts another server with the same directory, and gives its address.
    fn add(&mut self, at: &Surroundings<'_>, name: &str, environment: &[(&str, &str)]) -> io::Result<String> {
        let root = at.root;
        let scratch = servers::scratch(root, &format!("clients-{name}"))?;
        let port = servers::free_port()?;
        let url = format!("http://localhost:{port}");
        let mut command = Command::new(servers::allod(root, "debug"));
        command.arg("serve").current_dir(&scratch);
        command.envs(servers::serve_environment(port, &self.plc_url, &scratch.join("data"), ADMIN_PASSWORD));
        command.envs(environment.iter().copied());
        let called = format!("the {name} allod");
        let mut server = start(at, &called, name, &mut command, &scratch.join("server.log"))?;
        server.wait_for(&url, "/xrpc/_health")?;
        self.processes.push(server);
        Ok(url)
    }
}
