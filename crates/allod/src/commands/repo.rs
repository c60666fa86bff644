//! `allod repo`: checks repositories, writes them to files and reads them from there; through the running server or on
//! its data directly.

use std::{
    fs::{self, File},
    io::{self, IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

use allod_server::control::{
    Answer, Command, EventsReport, PIECE_BYTES, Part, Peer, RepoImported, RepoReport, ReposVerified,
};
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use serde_json::{Map, json};

use super::{Failure, account::unexpected, administer::administer_with};
use crate::{
    cli::{Repo, Target},
    output,
};

/// Carries out the command.
pub(super) fn run(command: &Repo) -> Result<(), Failure> {
    match command {
        Repo::Verify { account, blobs, events, target, .. } => verify(account.as_deref(), (*blobs, *events), target),
        Repo::Export { account, out, target } => export(account, out.as_deref(), target),
        Repo::Import { account, file, target } => import(account, file, target),
    }
}

fn verify(account: Option<&str>, (blobs, events): (bool, bool), target: &Target) -> Result<(), Failure> {
    let mut findings = Findings { shows: !target.json, reports: Vec::new() };
    let command = Command::RepoVerify { account: account.map(str::to_owned), blobs, events };
    let answer = administer_with(target, &command, &mut findings);
    output::progress("");
    let Answer::ReposVerified(ReposVerified { checked, damaged, events }) = answer? else { return Err(unexpected()) };
    let mut all = Map::new();
    all.insert("repositories".to_owned(), json!(findings.reports));
    all.insert("checked".to_owned(), json!(checked));
    all.insert("damaged".to_owned(), json!(damaged));
    let mut damaged_events = 0;
    if let Some(events) = &events {
        damaged_events = events.damaged.len() as u64 + events.further_damaged;
        if target.json {
            all.insert("events".to_owned(), json!(events));
        } else {
            output::text(shown_events(events));
        }
    }
    if target.json {
        output::json(&all);
    }
    match (damaged, damaged_events) {
        (0, 0) => Ok(()),
        (0, _) => Err(Failure::Failed(format!("damaged: {damaged_events} events"))),
        (_, 0) => Err(Failure::Failed(format!("damaged: {damaged} of {checked}"))),
        (_, _) => Err(Failure::Failed(format!("damaged: {damaged} of {checked}, and {damaged_events} events"))),
    }
}

/// What a check finds, shown or kept.
struct Findings {
    shows: bool,
    reports: Vec<RepoReport>,
}

impl Peer for Findings {
    fn part(&mut self, part: Part) -> BoxFuture<'_, io::Result<()>> {
        match part {
            Part::Records(records) => output::progress(format_args!("{records} records")),
            Part::Verified(report) if self.shows => {
                output::progress("");
                output::text(shown(&report));
            }
            Part::Verified(report) => self.reports.push(report),
            Part::Bytes(_) => {}
        }
        Box::pin(ready(Ok(())))
    }

    fn input(&mut self) -> BoxFuture<'_, io::Result<Option<Bytes>>> {
        Box::pin(ready(Ok(None)))
    }
}

fn shown(report: &RepoReport) -> String {
    let RepoReport { did, handle, records, unreadable, blobs, problems, further_problems, .. } = report;
    let state = if problems.is_empty() { "valid  " } else { "damaged" };
    let further = (*further_problems > 0).then(|| format!("and {further_problems} more"));
    let lines = problems.iter().chain(&further).map(|line| format!("  {line}\n"));
    let unreadable = if *unreadable > 0 { format!(", {unreadable} of them not valid") } else { String::new() };
    let blobs = blobs.map(|blobs| format!(", {blobs} blobs")).unwrap_or_default();
    format!("{state}  {did}  {handle}  {records} records{unreadable}{blobs}\n{}", lines.collect::<String>())
}

fn shown_events(report: &EventsReport) -> String {
    let EventsReport { events, damaged, further_damaged } = report;
    let state = if damaged.is_empty() { "valid  " } else { "damaged" };
    let further = (*further_damaged > 0).then(|| format!("  and {further_damaged} more\n"));
    let lines = damaged.iter().map(|seq| format!("  event {seq}: checksum mismatch\n")).chain(further);
    format!("{state}  {events} events\n{}", lines.collect::<String>())
}

fn export(account: &str, out: Option<&Path>, target: &Target) -> Result<(), Failure> {
    let command = Command::RepoExport { account: account.to_owned() };
    let Some(path) = out else {
        if io::stdout().is_terminal() {
            return Err(Failure::Usage("a CAR file can't be printed to a terminal; use --out FILE".to_owned()));
        }
        let mut sink = Sink { file: Box::new(io::stdout()) };
        return exported(administer_with(target, &command, &mut sink)?).map(drop);
    };
    let unfinished = Unfinished::create(path)?;
    let file = unfinished.file.try_clone().map_err(Failure::failed)?;
    let answer = administer_with(target, &command, &mut Sink { file: Box::new(file) })?;
    let answer = exported(answer)?;
    unfinished.finish(path)?;
    if target.json {
        output::json(&answer);
    }
    Ok(())
}

fn exported(answer: Answer) -> Result<allod_server::control::RepoExported, Failure> {
    if let Answer::RepoExported(exported) = answer { Ok(exported) } else { Err(unexpected()) }
}

/// A file that has its name when it is whole; removed otherwise.
struct Unfinished {
    file: File,
    path: PathBuf,
}

impl Unfinished {
    fn create(path: &Path) -> Result<Self, Failure> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let unfinished = PathBuf::from(name);
        let file = File::create(&unfinished)
            .map_err(|reason| Failure::Failed(format!("can't write {}: {reason}", unfinished.display())))?;
        Ok(Self { file, path: unfinished })
    }

    fn finish(self, path: &Path) -> Result<(), Failure> {
        self.file.sync_all().map_err(Failure::failed)?;
        fs::rename(&self.path, path).map_err(Failure::failed)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // One that has got its name is not there any more.
        let _ = fs::remove_file(&self.path);
    }
}

/// Takes the pieces of a file.
struct Sink {
    file: Box<dyn Write + Send>,
}

impl Peer for Sink {
    fn part(&mut self, part: Part) -> BoxFuture<'_, io::Result<()>> {
        let written = match part {
            Part::Bytes(bytes) => self.file.write_all(&bytes).and_then(|()| self.file.flush()),
            Part::Records(_) | Part::Verified(_) => Ok(()),
        };
        Box::pin(ready(written))
    }

    fn input(&mut self) -> BoxFuture<'_, io::Result<Option<Bytes>>> {
        Box::pin(ready(Ok(None)))
    }
}

fn import(account: &str, path: &Path, target: &Target) -> Result<(), Failure> {
    let unreadable = |reason: io::Error| Failure::Failed(format!("can't read {}: {reason}", path.display()));
    let file = File::open(path).map_err(unreadable)?;
    let about = file.metadata().map_err(unreadable)?;
    if !about.is_file() {
        return Err(Failure::Usage(format!("{} is not a file", path.display())));
    }
    let file_bytes = about.len();
    let command = Command::RepoImport { account: account.to_owned(), file_bytes };
    let mut source = Source { file: file.take(file_bytes) };
    let answer = administer_with(target, &command, &mut source);
    output::progress("");
    let Answer::RepoImported(imported) = answer? else { return Err(unexpected()) };
    if target.json {
        output::json(&imported);
        return Ok(());
    }
    let RepoImported { did, commit, rev, records, unreadable } = imported;
    output::text(output::fields(&[
        ("did", Some(did)),
        ("records", Some(records.to_string())),
        ("invalid records", (unreadable > 0).then(|| unreadable.to_string())),
        ("rev", Some(rev)),
        ("commit", Some(commit)),
    ]));
    Ok(())
}

/// Gives the pieces of a file.
struct Source {
    file: io::Take<File>,
}

impl Peer for Source {
    fn part(&mut self, part: Part) -> BoxFuture<'_, io::Result<()>> {
        if let Part::Records(records) = part {
            output::progress(format_args!("{records} records"));
        }
        Box::pin(ready(Ok(())))
    }

    fn input(&mut self) -> BoxFuture<'_, io::Result<Option<Bytes>>> {
        let mut piece = vec![0; PIECE_BYTES];
        let read = self.file.read(&mut piece).map(|read| {
            piece.truncate(read);
            (read > 0).then(|| Bytes::from(piece))
        });
        Box::pin(ready(read))
    }
}
