//! Secrets that go through a test's servers, and all that those write, kept for a search of the one in the other.
//!
//! Off unless `ALLOD_TEST_SECRETS_DIR` names a folder. Then every process of tests writes there what its servers log, at
//! the most verbose level and of every crate, and in another file which passwords, tokens and keys went by; and servers
//! leave their data there. `cargo xtask test` searches when all tests have run.

mod log;

use std::{
    collections::HashSet,
    fs::{self, File},
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use data_encoding::{BASE64, HEXLOWER};
use parking_lot::Mutex;
use serde_json::Value;

pub(crate) use log::Verbose;

/// Names the folder.
const FOLDER_VARIABLE: &str = "ALLOD_TEST_SECRETS_DIR";
/// What is shorter may come up by chance, and is not looked for.
const SECRET_BYTES_MIN: usize = 8;
/// A password has so many different characters at the least.
const DISTINCT_CHARS_MIN: usize = 4;
/// What a bearer sends that is shorter is no token of ours.
const TOKEN_BYTES_MIN: usize = 20;
/// How much of a key, printed as a list of numbers, tells that it is there.
const LISTED_BYTES: usize = 12;

/// What a secret is; a find tells this in place of the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A password of an account or an app.
    Password,
    /// A token: of a whole JWT the signature.
    Token,
    /// A code that was mailed.
    Code,
    /// What administers the server.
    Administration,
    /// A key of the server or of an account.
    Key,
}

impl Kind {
    /// Its name in the file.
    fn name(self) -> &'static str {
        match self {
            Self::Password => "password",
            Self::Token => "token",
            Self::Code => "mailed code",
            Self::Administration => "administration",
            Self::Key => "key",
        }
    }
}

/// What one process of tests keeps.
pub(crate) struct Canaries {
    servers: PathBuf,
    log: Mutex<BufWriter<File>>,
    secrets: Mutex<Secrets>,
}

struct Secrets {
    noted: HashSet<Vec<u8>>,
    file: BufWriter<File>,
}

/// This process's, unless it keeps none.
pub(crate) fn canaries() -> Option<&'static Canaries> {
    static CANARIES: OnceLock<Option<Canaries>> = OnceLock::new();
    let opened = CANARIES.get_or_init(|| {
        let folder = PathBuf::from(std::env::var_os(FOLDER_VARIABLE)?);
        Some(Canaries::open(&folder).expect("the folder for secrets and logs can be written to"))
    });
    opened.as_ref()
}

impl Canaries {
    fn open(folder: &Path) -> io::Result<Self> {
        let servers = folder.join("servers");
        fs::create_dir_all(&servers)?;
        // A process may have the number of one that is gone.
        let opened = (0..).find_map(|attempt: u32| {
            let name = |ending: &str| folder.join(format!("{}-{attempt}.{ending}", std::process::id()));
            match File::create_new(name("log")) {
                Ok(log) => Some(File::create_new(name("secrets")).map(|secrets| (log, secrets))),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => None,
                Err(error) => Some(Err(error)),
            }
        });
        let (log, secrets) = opened.ok_or(io::ErrorKind::AlreadyExists)??;
        let secrets = Secrets { noted: HashSet::new(), file: BufWriter::new(secrets) };
        Ok(Self { servers, log: Mutex::new(BufWriter::new(log)), secrets: Mutex::new(secrets) })
    }

    /// Where servers have their data, which stays.
    pub(crate) fn servers(&self) -> &Path {
        &self.servers
    }

    /// Notes a secret as it is.
    pub(crate) fn note(&self, kind: Kind, secret: &[u8]) {
        if secret.len() < SECRET_BYTES_MIN {
            return;
        }
        let mut secrets = self.secrets.lock();
        if secrets.noted.insert(secret.to_vec()) {
            writeln!(secrets.file, "{}\t{}", kind.name(), HEXLOWER.encode(secret)).expect("secrets can be noted");
        }
    }

    /// Notes a key in every form in which it might be written.
    pub(crate) fn note_key(&self, key: &[u8; 32]) {
        self.note(Kind::Key, key);
        self.note(Kind::Key, HEXLOWER.encode(key).as_bytes());
        let listed: Vec<String> = key.iter().take(LISTED_BYTES).map(u8::to_string).collect();
        self.note(Kind::Key, format!("[{}", listed.join(", ")).as_bytes());
    }

    /// Notes the administrator's password, and what a client sends of it.
    pub(crate) fn note_administration(&self, password: &str) {
        self.note(Kind::Administration, password.as_bytes());
        self.note(Kind::Administration, BASE64.encode(format!("admin:{password}").as_bytes()).as_bytes());
    }

    /// Notes what a bearer sends.
    pub(crate) fn note_bearer(&self, token: &str) {
        if !self.note_jwt(token) && token.len() >= TOKEN_BYTES_MIN {
            self.note(Kind::Token, token.as_bytes());
        }
    }

    /// Notes what makes a JWT valid; tells whether it is one.
    fn note_jwt(&self, token: &str) -> bool {
        let signature = token.strip_prefix("eyJ").and_then(|rest| rest.rsplit_once('.'));
        if let Some((_, signature)) = signature {
            self.note(Kind::Token, signature.as_bytes());
        }
        signature.is_some()
    }

    /// Notes the codes in a letter, as they are mailed and as they are typed.
    pub(crate) fn note_letter(&self, text: &str) {
        for code in text.lines().filter_map(|line| line.strip_prefix("    ")).filter(|code| is_code(code)) {
            self.note_code(code);
        }
    }

    fn note_code(&self, code: &str) {
        self.note(Kind::Code, code.as_bytes());
        self.note(Kind::Code, code.replace('-', "").as_bytes());
    }

    /// Notes what is secret in a body that is sent or received.
    pub(crate) fn note_body(&self, body: &Value) {
        match body {
            Value::Object(fields) => {
                for (name, value) in fields {
                    if let Value::String(text) = value {
                        self.note_field(name, text);
                    } else {
                        self.note_body(value);
                    }
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.note_body(value)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    fn note_field(&self, name: &str, text: &str) {
        match name {
            "password" if is_distinct(text) => self.note(Kind::Password, text.as_bytes()),
            "accessJwt" | "refreshJwt" | "token" | "authFactorToken" => self.note_token(text),
            _ => {}
        }
    }

    fn note_token(&self, token: &str) {
        if !self.note_jwt(token) && is_code(token) {
            self.note_code(token);
        }
    }

    /// Hands everything to the system, so that it outlives the process.
    pub(crate) fn flush(&self) {
        self.log.lock().flush().expect("the log can be written");
        self.secrets.lock().file.flush().expect("secrets can be noted");
    }
}

/// Whether a password is none of blanks or of one letter over and over, which may come up by chance.
fn is_distinct(password: &str) -> bool {
    password.chars().collect::<HashSet<_>>().len() >= DISTINCT_CHARS_MIN
}

/// Whether a text has the form of a code that is mailed, as it is mailed.
fn is_code(text: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_uppercase() || (b'2'..=b'7').contains(&byte);
    let fits = |(at, byte)| if at == 5 { byte == b'-' } else { is_letter(byte) };
    text.len() == 11 && text.bytes().enumerate().all(fits)
}
