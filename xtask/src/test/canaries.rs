//! The search for secrets in everything that servers wrote while they were tested.
//!
//! The testkit leaves in one folder the logs of all test servers, at the most verbose level, their data, and the secrets
//! that went through them; so do the servers for other people's clients. None of the secrets may be in any log or data.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsStr,
    fs::{self, File},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Tells the testkit where to leave it all.
pub(super) const FOLDER_VARIABLE: &str = "ALLOD_TEST_SECRETS_DIR";

/// The shortest secret: so many bytes are looked up at once.
const SECRET_BYTES_MIN: usize = size_of::<u64>();
/// The longest secret or token that is found across two pieces of a file.
const SECRET_BYTES_MAX: usize = 8 * 1024;
/// How much of a file is searched at once.
const PIECE_BYTES: usize = 4 * 1024 * 1024;
/// A filter of so many bits (a power of two) tells most bytes of a file at a glance to begin no secret.
const FILTER_BITS_LOG2: u32 = 22;
/// The signature of a JWT has so many characters at the least.
const SIGNATURE_CHARS_MIN: usize = 43;
/// How many characters of a secret are shown.
const SHOWN_CHARS: usize = 4;
/// How many finds are shown.
const SHOWN_FINDS_MAX: usize = 50;
/// With fewer secrets than this something is wrong with noting them.
const SECRETS_MIN: usize = 500;
/// With a shorter log than this something is wrong with logging.
const LOG_BYTES_MIN: u64 = 10 * 1024 * 1024;
/// With less data than this it was not left.
const DATA_BYTES_MIN: u64 = 10 * 1024 * 1024;

/// What a search came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Searched {
    /// How many secrets were looked for.
    pub(super) secrets: usize,
    /// In how many bytes of log.
    pub(super) log_bytes: u64,
    /// In how many bytes of data.
    pub(super) data_bytes: u64,
    /// Where some were found.
    pub(super) finds: Vec<Find>,
}

/// A secret where none must be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Find {
    file: PathBuf,
    line: usize,
    kind: String,
    beginning: String,
}

impl Searched {
    /// Says what was searched.
    pub(super) fn told(&self) -> String {
        let megabytes = |bytes: u64| bytes.div_ceil(1024 * 1024);
        let (log, data) = (megabytes(self.log_bytes), megabytes(self.data_bytes));
        format!(
            "looked for {} secrets in {log} MB of log and {data} MB of data, {} found",
            self.secrets,
            self.finds.len()
        )
    }

    /// Why this is no success; nothing when it is one.
    pub(super) fn objections(&self) -> Vec<String> {
        let mut objections: Vec<String> = self.finds.iter().take(SHOWN_FINDS_MAX).map(Find::told).collect();
        if self.finds.len() > SHOWN_FINDS_MAX {
            objections.push(format!("… and {} more", self.finds.len() - SHOWN_FINDS_MAX));
        }
        if self.secrets < SECRETS_MIN {
            objections.push(format!("only {} secrets were noted: is {FOLDER_VARIABLE} heeded?", self.secrets));
        }
        if self.log_bytes < LOG_BYTES_MIN {
            objections.push(format!("only {} bytes of log were written", self.log_bytes));
        }
        if self.data_bytes < DATA_BYTES_MIN {
            objections.push(format!("only {} bytes of data were left", self.data_bytes));
        }
        objections
    }
}

impl Find {
    /// Says where it is and what it is, and no more of it than its beginning.
    fn told(&self) -> String {
        format!("{}:{}: {} {:?}…", self.file.display(), self.line, self.kind, self.beginning)
    }
}

/// Makes the folder anew.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)
}

/// Notes secrets of a server that is no test's own, as the testkit does.
pub(super) fn note(folder: &Path, secrets: &[(&str, &str)]) -> io::Result<()> {
    let mut file = File::options().create(true).append(true).open(folder.join("clients.secrets"))?;
    for (kind, secret) in secrets.iter().filter(|(_, secret)| secret.len() >= SECRET_BYTES_MIN) {
        write!(file, "{kind}\t")?;
        for byte in secret.bytes() {
            write!(file, "{byte:02x}")?;
        }
        writeln!(file)?;
    }
    Ok(())
}

/// Searches a folder. What was searched without a find is removed: it is large.
pub(super) fn search(folder: &Path) -> io::Result<Searched> {
    let mut files = Vec::new();
    list(folder, &mut files)?;
    let (secrets, searched): (Vec<_>, Vec<_>) =
        files.into_iter().partition(|file| file.extension() == Some(OsStr::new("secrets")));
    let secrets = Secrets::read(&secrets)?;
    let mut outcome = Searched { secrets: secrets.count, ..Searched::default() };
    for file in searched {
        let is_log = file.extension() == Some(OsStr::new("log"));
        let mut finds = Vec::new();
        let bytes = secrets.search(File::open(&file)?, is_log, |line, kind, beginning| {
            finds.push(Find { file: file.clone(), line, kind: kind.to_owned(), beginning });
        })?;
        *(if is_log { &mut outcome.log_bytes } else { &mut outcome.data_bytes }) += bytes;
        if finds.is_empty() {
            fs::remove_file(&file)?;
        }
        outcome.finds.append(&mut finds);
    }
    Ok(outcome)
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// What is looked for, by its first eight bytes.
struct Secrets {
    count: usize,
    by_beginning: HashMap<u64, Vec<(String, Vec<u8>)>>,
    filter: Vec<u64>,
}

impl Secrets {
    /// Reads what was noted: in each line the kind, a tab, and the secret in hexadecimal.
    fn read(files: &[PathBuf]) -> io::Result<Self> {
        let mut kinds = BTreeMap::new();
        for file in files {
            for line in fs::read_to_string(file)?.lines() {
                let read = line.split_once('\t').and_then(|(kind, secret)| Some((kind.to_owned(), bytes(secret)?)));
                let (kind, secret) =
                    read.ok_or_else(|| io::Error::other(format!("{} has a line that is no secret", file.display())))?;
                if (SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len()) {
                    kinds.insert(secret, kind);
                }
            }
        }
        let mut secrets =
            Self { count: kinds.len(), by_beginning: HashMap::new(), filter: vec![0; 1 << (FILTER_BITS_LOG2 - 6)] };
        for (secret, kind) in kinds {
            let beginning = secret.iter().take(SECRET_BYTES_MIN).fold(0, |window, byte| slide(window, *byte));
            let (word, bit) = place(beginning);
            if let Some(word) = secrets.filter.get_mut(word) {
                *word |= bit;
            }
            secrets.by_beginning.entry(beginning).or_default().push((kind, secret));
        }
        Ok(secrets)
    }

    /// Searches a file, and tells of each secret the first line that has it; in a log also of whole tokens that nobody
    /// has noted. Gives the number of bytes.
    fn search(&self, mut file: impl Read, is_log: bool, mut found: impl FnMut(usize, &str, String)) -> io::Result<u64> {
        let (mut buffer, mut line, mut total, mut told) = (Vec::new(), 1, 0, HashSet::new());
        loop {
            let read = file.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut buffer)?;
            total += read as u64;
            // What begins later is looked at with the next piece, whole.
            let end = if read == 0 { buffer.len() } else { buffer.len().saturating_sub(SECRET_BYTES_MAX) };
            for (start, secret) in self.found_in(&buffer, end, is_log) {
                if told.insert(secret.1.to_vec()) {
                    let line = line + newlines(&buffer, start);
                    found(line, secret.0, String::from_utf8_lossy(secret.1).chars().take(SHOWN_CHARS).collect());
                }
            }
            line += newlines(&buffer, end);
            buffer.drain(..end);
            if read == 0 {
                return Ok(total);
            }
        }
    }

    /// Everything that is found in a buffer and begins before `end`.
    fn found_in<'a>(&'a self, buffer: &'a [u8], end: usize, is_log: bool) -> Vec<(usize, (&'a str, &'a [u8]))> {
        let mut found = Vec::new();
        let mut window = 0;
        for (at, byte) in buffer.iter().enumerate() {
            window = slide(window, *byte);
            let Some(start) = (at + 1).checked_sub(SECRET_BYTES_MIN) else { continue };
            if start >= end {
                break;
            }
            let rest = buffer.get(start..).unwrap_or_default();
            if is_log && rest.starts_with(b"eyJ") {
                found.extend(whole_token(rest).map(|token| (start, ("token", token))));
            }
            let (word, bit) = place(window);
            if self.filter.get(word).is_some_and(|word| word & bit != 0) {
                let alike = self.by_beginning.get(&window).into_iter().flatten();
                let here = alike.filter(|(_, secret)| rest.starts_with(secret));
                found.extend(here.map(|(kind, secret)| (start, (kind.as_str(), secret.as_slice()))));
            }
        }
        found
    }
}

fn slide(window: u64, byte: u8) -> u64 {
    window << 8 | u64::from(byte)
}

/// Where in the filter eight bytes have their bit.
fn place(window: u64) -> (usize, u64) {
    let hash = window.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - FILTER_BITS_LOG2);
    (usize::try_from(hash >> 6).unwrap_or(0), 1 << (hash & 63))
}

fn newlines(buffer: &[u8], end: usize) -> usize {
    buffer.iter().take(end).filter(|byte| **byte == b'\n').count()
}

/// A JWT with its signature at the beginning of some text.
fn whole_token(text: &[u8]) -> Option<&[u8]> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let token = text.iter().take(SECRET_BYTES_MAX).position(|byte| !is_part(byte)).and_then(|end| text.get(..end));
    let token = token.unwrap_or(text);
    let mut parts = token.split(|byte| *byte == b'.');
    let (_, claims, signature) = (parts.next()?, parts.next()?, parts.next()?);
    (claims.starts_with(b"eyJ") && signature.len() >= SIGNATURE_CHARS_MIN).then_some(token)
}

fn bytes(hexadecimal: &str) -> Option<Vec<u8>> {
    let digit = |at: usize| hexadecimal.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok());
    (0..hexadecimal.len()).step_by(2).map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(name: &str, secrets: &[(&str, &str)], files: &[(&str, &[u8])]) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("allod-canaries-{name}-{}", std::process::id()));
        prepare(&folder).unwrap();
        note(&folder, secrets).unwrap();
        for (name, content) in files {
            fs::write(folder.join(name), content).unwrap();
        }
        folder
    }

    fn finds(searched: &Searched) -> Vec<(&str, usize, &str, &str)> {
        let mut finds: Vec<_> = searched
            .finds
            .iter()
            .map(|find| (find.file.file_name().unwrap().to_str().unwrap(), find.line, &*find.kind, &*find.beginning))
            .collect();
        finds.sort_unstable();
        finds
    }

    #[test]
    fn finds_what_was_planted_and_shows_no_more_than_its_beginning() {
        let secrets = [("password", "a-planted-password"), ("key", "another-secret"), ("password", "short")];
        let log = b"one line\nTRACE x: body={\"password\":\"a-planted-password\"}\nshort\n";
        let files =
            [("1.log", &log[..]), ("allod.sqlite", b"\0\xff\0another-secret\n\0"), ("2.log", b"a-planted-passw")];
        let folder = folder("planted", &secrets, &files);
        let searched = search(&folder).unwrap();
        assert_eq!(finds(&searched), [("1.log", 2, "password", "a-pl"), ("allod.sqlite", 1, "key", "anot")]);
        assert_eq!((searched.secrets, searched.log_bytes, searched.data_bytes), (2, log.len() as u64 + 15, 19));
        let told = searched.objections().join("\n");
        assert!(told.contains("1.log:2: password \"a-pl\"…") && !told.contains("a-planted"), "{told}");
        assert!(!folder.join("2.log").exists() && folder.join("1.log").exists(), "what has a find stays");
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn finds_a_secret_wherever_a_piece_of_the_file_ends() {
        for start in [0, PIECE_BYTES - SECRET_BYTES_MAX - 3, PIECE_BYTES - 9, PIECE_BYTES, 2 * PIECE_BYTES - 1] {
            let mut log = vec![b'\n'; start];
            log.extend_from_slice(b"a-planted-password");
            let folder = folder("pieces", &[("password", "a-planted-password")], &[("1.log", &log)]);
            assert_eq!(finds(&search(&folder).unwrap()), [("1.log", start + 1, "password", "a-pl")], "{start}");
            fs::remove_dir_all(folder).unwrap();
        }
    }

    #[test]
    fn finds_whole_tokens_that_nobody_noted() {
        let (signature, half) = ("s".repeat(43), "s".repeat(42));
        let log = format!("eyJhbGciOi.eyJzdWIi.{half}\nsent eyJhbGciOi.eyJzdWIi.{signature}, and went\n");
        let folder = folder("tokens", &[], &[("1.log", log.as_bytes()), ("data", log.as_bytes())]);
        assert_eq!(finds(&search(&folder).unwrap()), [("1.log", 2, "token", "eyJh")]);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_search_of_nothing_for_nothing_is_no_success() {
        let folder = folder("nothing", &[], &[]);
        assert_eq!(search(&folder).unwrap().objections().len(), 3);
        fs::remove_dir_all(folder).unwrap();
    }
}
