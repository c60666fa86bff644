//! Commands carried out in the test's process: against a server there, over its control socket, and without one.

use std::{
    cell::RefCell,
    fmt::Write as _,
    io::{self, Write},
    path::Path,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use allod_server::control::Listener;
use allod_testkit::TestPds;
use clap::Parser;

use crate::{cli::Cli, surroundings::Surroundings};

/// A stream that is kept.
#[derive(Clone, Default)]
struct Kept(Rc<RefCell<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Kept {
    fn text(&self) -> String {
        String::from_utf8(self.0.borrow().clone()).unwrap()
    }
}

/// What came of a command.
struct Outcome {
    code: u8,
    stdout: String,
    stderr: String,
}

/// Runs a command, with these words and environment.
fn run(words: &[&str], environment: &[(&str, &str)]) -> Outcome {
    let cli = Cli::try_parse_from([&["allod"], words].concat()).unwrap();
    let (stdout, stderr) = (Kept::default(), Kept::default());
    let surroundings = Surroundings {
        environment: environment.iter().map(|(name, value)| (name.into(), value.into())).collect(),
        stdout: Box::new(stdout.clone()),
        stderr: Box::new(stderr.clone()),
    };
    let code = crate::run(cli, surroundings);
    Outcome { code, stdout: stdout.text(), stderr: stderr.text() }
}

/// Runs commands for the data in `directory` one after the other, on a thread of its own; renders what each answers.
async fn transcript(directory: &Path, commands: &'static [&'static str]) -> String {
    let directory = directory.to_str().unwrap().to_owned();
    let running = tokio::task::spawn_blocking(move || {
        let mut out = String::new();
        for command in commands {
            let words: Vec<&str> = command.split(' ').chain(["--data-dir", &directory]).collect();
            let Outcome { code, stdout, stderr } = run(&words, &[]);
            write!(out, "$ allod {command}\n{stdout}").unwrap();
            if !stderr.is_empty() {
                write!(out, "--- stderr\n{stderr}").unwrap();
            }
            write!(out, "--- exit code {code}\n\n").unwrap();
        }
        numbered(&out.replace(&directory, "[directory]"))
    });
    running.await.unwrap()
}

/// Puts numbers for DIDs, in the order in which they come, as long as they are.
fn numbered(text: &str) -> String {
    const MARK: &str = "did:plc:";
    const LENGTH: usize = 24;
    let mut dids: Vec<String> = Vec::new();
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(MARK) {
        let (did, behind) = after.split_at(LENGTH);
        let number = dids.iter().position(|known| known == did).unwrap_or_else(|| {
            dids.push(did.to_owned());
            dids.len() - 1
        });
        write!(out, "{before}{MARK}{:a>LENGTH$}", number + 1).unwrap();
        rest = behind;
    }
    out + rest
}

/// A server whose control socket is in a directory.
async fn served() -> (TestPds, tempfile::TempDir) {
    let pds = TestPds::start().await;
    let directory = tempfile::tempdir().unwrap();
    let listener = Listener::bind(directory.path()).unwrap();
    // It ends with the test.
    tokio::spawn(listener.serve(Arc::clone(pds.app())));
    (pds, directory)
}

/// Puts a name for what follows each mark up to the end of its word: passwords and codes are made at random.
fn hidden(text: &str, mark: &str) -> String {
    let mut parts = text.split(mark);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let word = part.trim_start().split(['\n', '"', ' ', ',']).next().unwrap_or_default();
        out += mark;
        out += &part.replacen(word, "[made]", 1);
    }
    out
}

#[tokio::test]
async fn accounts_through_a_running_server() {
    let (pds, directory) = served().await;
    pds.account("bob").await;
    // Lists are in the order of time, and the clock stands still.
    pds.advance(Duration::from_secs(1));
    let told = transcript(
        directory.path(),
        &[
            "account create alice.test --email alice@mail.test",
            "account create carol.test",
            "account create alice.test --email other@mail.test",
            "account create admin.test --email admin@mail.test",
            "account create a_b.test --email carol@mail.test",
            "account list",
            "account list --limit 1 --json",
            "account create admin.test --email admin@mail.test --allow-reserved --json",
            "account show alice@mail.test",
            "account show nobody.test",
            "account set-email alice.test new@mail.test",
            "account set-email alice.test nonsense",
            "account set-password alice.test",
            "account search new@",
            "account deactivate alice.test --yes",
            "account show alice.test --json",
            "account activate alice.test",
            "account disable-invites alice.test --note spam",
            "account enable-invites alice.test",
            "takedown account alice.test",
            "account activate alice.test",
            "takedown account alice.test --undo",
            "account delete alice.test --yes",
            "account show alice.test",
            "handle list",
            "handle release alice.test",
            "handle release alice.test",
            "handle list --json",
        ],
    )
    .await;
    let told = ["password  ", "\"password\": \""].iter().fold(told, |told, mark| hidden(&told, mark));
    insta::assert_snapshot!(told);
}

#[tokio::test]
async fn the_rest_through_a_running_server() {
    let (pds, directory) = served().await;
    let alice = pds.account("alice").await;
    let record = serde_json::json!({ "$type": "com.example.note", "text": "hello" });
    let body =
        serde_json::json!({ "repo": alice.did, "collection": "com.example.note", "rkey": "one", "record": record });
    pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&body).ok().await;
    let told = transcript(
        directory.path(),
        &[
            "status",
            "status --json",
            "firehose status",
            "firehose raise-sequence 5000000",
            "firehose raise-sequence 1",
            "firehose status --json",
            "queue list",
            "queue admit nobody.test",
            "invite list",
            "invite show no-such-code",
            "repo verify alice.test",
            "repo verify alice.test --blobs --events --json",
            "repo verify nobody.test",
            "admin-token create staff --moderator",
            "admin-token list",
            "admin-token revoke staff",
            "admin-token revoke staff",
        ],
    )
    .await;
    // The ring fills in its own time.
    let marks = ["allod-admin-", "\"rev\": \"", "in memory     ", "\"ring_bytes\": "];
    insta::assert_snapshot!(marks.iter().fold(told, |told, mark| hidden(&told, mark)));
}

#[tokio::test]
async fn invite_codes_through_a_running_server() {
    let (_pds, directory) = served().await;
    let told = transcript(directory.path(), &["invite create --uses 3 --count 2"]).await;
    let codes: Vec<String> = told.lines().skip(1).take(2).map(str::to_owned).collect();
    assert!(codes.iter().all(|code| code.starts_with("localhost-")) && codes[0] != codes[1], "{told}");
    let data = directory.path().to_str().unwrap().to_owned();
    let [one, other] = [codes[0].clone(), codes[1].clone()];
    let checked = tokio::task::spawn_blocking(move || {
        let shown = run(&["invite", "show", &one, "--data-dir", &data], &[]);
        assert_eq!((shown.code, shown.stderr.as_str()), (0, ""));
        assert!(shown.stdout.contains(&one) && shown.stdout.contains("3 of 3 left"), "{}", shown.stdout);
        let disabled = run(&["invite", "disable", &other, "--data-dir", &data], &[]);
        assert_eq!(disabled.code, 0, "{}", disabled.stderr);
        let listed = run(&["invite", "list", "--data-dir", &data], &[]).stdout;
        let left = |code: &str| {
            let row = listed.lines().find(|row| row.starts_with(code)).unwrap();
            row.split_whitespace().nth(1).unwrap().to_owned()
        };
        assert_eq!((left(&one), left(&other)), ("3".to_owned(), "disabled".to_owned()), "{listed}");
    });
    checked.await.unwrap();
}

#[tokio::test]
async fn without_a_server() {
    let directory = tempfile::tempdir().unwrap();
    let told =
        transcript(directory.path(), &["status", "account list", "invite create", "firehose status", "queue list"])
            .await;
    insta::assert_snapshot!(told);
}

#[test]
fn a_configuration_is_checked_and_secrets_are_made() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("data");
    let file = directory.path().join("allod.toml");
    let secrets = run(&["secrets", "generate", "--toml"], &[]);
    assert_eq!((secrets.code, secrets.stderr.as_str()), (0, ""));
    let text = format!("hostname = \"pds.example.com\"\ndata_directory = {:?}\n{}", data, secrets.stdout);
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let check =
        |environment: &[(&str, &str)]| run(&["config", "check", "--config", file.to_str().unwrap()], environment);
    let good = check(&[]);
    assert_eq!(good.code, 0, "{}", good.stderr);
    assert!(good.stdout.contains("pds.example.com"), "{}", good.stdout);
    // What is made is shown once, and by nothing else.
    let made = secrets.stdout.lines().filter_map(|line| line.split('"').nth(1));
    assert_eq!(made.clone().count(), 4, "{}", secrets.stdout);
    for secret in made {
        assert!(secret.len() >= 32 && !good.stdout.contains(secret), "{}", good.stdout);
    }
    let bad = check(&[("PDS_PORT", "many"), ("PDS_JWT_SECRET", "short")]);
    assert_eq!((bad.code, bad.stdout.as_str()), (2, ""));
    assert!(bad.stderr.contains("PDS_PORT") && bad.stderr.contains("PDS_JWT_SECRET"), "{}", bad.stderr);
    let unknown = check(&[("ALLOD_HOSTNAMES", "x")]);
    assert!(unknown.stderr.contains("ALLOD_HOSTNAMES"), "{}", unknown.stderr);

    let key = run(&["secrets", "master-key", "--config", file.to_str().unwrap()], &[]);
    let made = secrets.stdout.lines().find_map(|line| line.strip_prefix("master_key_hex = ")).unwrap();
    assert_eq!((key.code, key.stdout), (0, format!("ALLOD_MASTER_KEY_HEX={}\n", made.trim_matches('"'))));
}
