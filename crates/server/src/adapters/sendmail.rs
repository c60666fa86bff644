//! Hands e-mails to this machine's mail server by its `sendmail` command: one process for each.

use std::{io, path::PathBuf, process::Stdio};

use futures_util::{FutureExt, future::BoxFuture};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
};

use crate::{
    adapters::smtp::{Composer, SmtpError},
    config::ServiceConfig,
    domain::mail::{Message, Transport, TransportError},
};

/// How much of the command's error output is kept, in bytes.
const COMPLAINT_BYTES_MAX: u64 = 4096;

/// The command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendmailConfig {
    /// Its path, or its name to be found by `PATH`.
    pub command: PathBuf,
    /// Whom e-mails are from: an address, or a name and the address in angle brackets.
    pub from: String,
}

/// Hands e-mails over.
pub struct Sendmail {
    command: PathBuf,
    composer: Composer,
}

impl Sendmail {
    /// Gets ready; runs nothing yet.
    pub fn new(config: &SendmailConfig, service: &ServiceConfig) -> Result<Self, SmtpError> {
        Ok(Self { command: config.command.clone(), composer: Composer::new(&config.from, service)? })
    }

    /// Runs the command; its complaint when it fails. Dropping the future kills the process.
    async fn run(&self, email: &lettre::Message) -> io::Result<Result<(), String>> {
        let mut command = Command::new(&self.command);
        command.arg("-i");
        if let Some(from) = email.envelope().from() {
            command.arg("-f").arg(from);
        }
        command.arg("--").args(email.envelope().to());
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn()?;
        let (input, errors) = (process.stdin.take(), process.stderr.take());
        let written = async {
            if let Some(mut input) = input {
                input.write_all(&email.formatted()).await?;
                input.shutdown().await?;
            }
            io::Result::Ok(())
        };
        let complaint = async {
            let mut complaint = Vec::new();
            if let Some(mut errors) = errors {
                (&mut errors).take(COMPLAINT_BYTES_MAX).read_to_end(&mut complaint).await?;
                tokio::io::copy(&mut errors, &mut tokio::io::sink()).await?;
            }
            io::Result::Ok(complaint)
        };
        let (written, complaint, status) = tokio::join!(written, complaint, process.wait());
        let status = status?;
        if !status.success() {
            let complaint = complaint.unwrap_or_default();
            return Ok(Err(format!("{status}: {}", String::from_utf8_lossy(&complaint).trim())));
        }
        // One that succeeds without having read everything has not taken the e-mail.
        written.map(Ok)
    }
}

impl Transport for Sendmail {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), TransportError>> {
        async move {
            let email = self.composer.compose(message)?;
            let complaint = match self.run(&email).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(complaint)) => complaint,
                Err(reason) => reason.to_string(),
            };
            // The command does not say whether another try could help.
            Err(TransportError::Passing(format!("{}: {complaint}", self.command.display())))
        }
        .boxed()
    }
}
