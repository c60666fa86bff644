//! The server under measurement: one that runs already, or a fresh release build with a directory of its own.

use std::io;
use std::path::Path;
use std::process::Command;

use super::process::Process;
use crate::servers::{self, Server};

/// The processes under measurement.
pub(super) struct Subject {
    pub(super) url: String,
    pub(super) server: Process,
    pub(super) directory: Option<Process>,
    /// Ended when this is dropped.
    pub(super) _processes: Vec<Server>,
}

impl Subject {
    /// A server that somebody else has started and will stop.
    pub(super) fn running(url: &str, server: Process, directory: Option<Process>) -> Self {
        Self { url: url.trim_end_matches('/').to_owned(), server, directory, _processes: Vec::new() }
    }

    /// Starts a directory and a server, both release builds, as two processes.
    pub(super) fn start(root: &Path, name: &str, environment: &[(&str, &str)]) -> io::Result<Self> {
        let scratch = servers::scratch(root, name)?;
        let (port, plc_port) = (servers::free_port()?, servers::free_port()?);
        let (url, plc_url) = (format!("http://localhost:{port}"), format!("http://localhost:{plc_port}"));
        let allod = servers::allod(root, "release");

        let mut command = Command::new(&allod);
        command.args(["plc", "--port", &plc_port.to_string(), "--data-dir"]).arg(scratch.join("plc"));
        let mut directory = Server::spawn("allod plc", &mut command, &scratch.join("plc.log"))?;
        directory.wait_for(&plc_url, "/_health")?;

        let mut command = Command::new(&allod);
        command.arg("serve").current_dir(&scratch);
        command.envs(servers::serve_environment(port, &plc_url, &scratch.join("pds"), "bench-admin-password"));
        command.envs(environment.iter().copied());
        let mut server = Server::spawn("allod serve", &mut command, &scratch.join("pds.log"))?;
        server.wait_for(&url, "/xrpc/_health")?;

        let (server_process, directory_process) = (Process(server.pid()), Process(directory.pid()));
        Ok(Self {
            url,
            server: server_process,
            directory: Some(directory_process),
            _processes: vec![server, directory],
        })
    }
}
