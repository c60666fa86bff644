//! The command line's shape.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

/// The exit codes, as `--help` tells them.
const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.";

/// Allod: an AT Protocol Personal Data Server.
#[derive(Debug, Parser)]
#[command(name = "allod", version, about, after_help = EXIT_CODES, max_term_width = 100)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub(crate) struct ConfigFile {
    /// The configuration file [default: ./allod.toml, else /etc/allod/allod.toml]
    #[arg(long = "config", value_name = "FILE", env = "ALLOD_CONFIG", hide_env_values = true)]
    path: Option<PathBuf>,
}

impl ConfigFile {
    /// The file that was named.
    pub(crate) fn as_path(&self) -> Option<&Path> {
        self.path.as_deref()
    }
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole local network for development: a server and a did:plc directory, no configuration
    Dev(Dev),
    /// Run the server
    Serve(ConfigFile),
    /// Run a did:plc directory alone
    Plc(Plc),
    /// Create, show, change and delete accounts
    #[command(subcommand)]
    Account(Account),
    /// Take down accounts, records and blobs, and show them again
    #[command(subcommand)]
    Takedown(Takedown),
    /// Create and revoke tokens for the administration methods
    #[command(subcommand)]
    AdminToken(AdminToken),
    /// Show what operators and moderators did, newest first
    Audit {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        target: Target,
    },
    /// Show whether the running server is well, and what to do if it is not
    Status(Target),
    /// Show the event stream, its subscribers and relays; raise its sequence after a restore
    #[command(subcommand)]
    Firehose(Firehose),
    /// Create, show and disable invite codes
    #[command(subcommand)]
    Invite(Invite),
    /// List and release held and reserved handles
    #[command(subcommand)]
    Handle(Handle),
    /// Admit or reject accounts in the sign-up queue
    #[command(subcommand)]
    Queue(Queue),
    /// Show waiting e-mails, and send a test e-mail
    #[command(subcommand)]
    Mail(Mail),
    /// Verify repositories, export them to CAR files and import them
    #[command(subcommand)]
    Repo(Repo),
    /// Show which keys and names the data belongs to, and confirm a change of them
    #[command(subcommand)]
    Data(Data),
    /// Check and explain the configuration
    #[command(subcommand)]
    Config(Config),
    /// Generate the secrets that a server needs
    #[command(subcommand)]
    Secrets(Secrets),
}

/// `allod dev`
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// Where the data is kept
    #[arg(long, value_name = "DIR", default_value = "./allod-dev", conflicts_with = "ephemeral")]
    pub(crate) data_dir: PathBuf,
    /// Keep the data in a temporary directory and remove it at the end
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// The server's port, part of its accounts' DID documents; 0 takes a free one, and the same again with the same data
    #[arg(long, default_value_t = 2583)]
    pub(crate) port: u16,
    /// The did:plc directory's port; 0 takes a free one
    #[arg(long, default_value_t = 2582)]
    pub(crate) plc_port: u16,
    /// The address that the server listens on; another one than 127.0.0.1 opens it to other machines
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) bind: std::net::IpAddr,
    /// Serve the firehose as JSON too, at /subscribe, in the form of Jetstream
    #[arg(long)]
    pub(crate) jetstream: bool,
}

/// `allod plc`
#[derive(Debug, Args)]
pub(crate) struct Plc {
    /// The port to listen on; 0 takes a free one
    #[arg(long, default_value_t = 2582)]
    pub(crate) port: u16,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) bind: std::net::IpAddr,
    /// Where the data is kept
    #[arg(long, value_name = "DIR", default_value = "./allod-plc")]
    pub(crate) data_dir: PathBuf,
}

/// Which part of a list is shown.
#[derive(Debug, Args)]
pub(crate) struct Page {
    /// How many at most
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Continue after the previous page, which printed the cursor
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

/// Which server an administrative command is for, and how it answers.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The server's data directory [default: the configured one (see --config), else ./allod-dev]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
}

/// `allod account`
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Create an account; needs no invite code
    Create {
        /// The handle, like alice.example.com
        handle: String,
        /// Take a handle that is reserved, like admin.example.com
        #[arg(long)]
        allow_reserved: bool,
        /// The e-mail address
        #[arg(long)]
        email: Option<String>,
        /// Read the password from standard input, instead of making and printing one
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        target: Target,
    },
    /// List accounts, oldest first
    List {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        target: Target,
    },
    /// Move an account from another server to this one; run it again after a failure
    MigrateIn(Box<MigrateIn>),
    /// Show one account
    Show {
        /// Its handle, DID or e-mail address
        account: String,
        #[command(flatten)]
        target: Target,
    },
    /// Replace the signing key of accounts, in their DID documents and for their next commits
    RotateKey {
        /// The account's handle, DID or e-mail address
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        account: Option<String>,
        /// Every account, oldest first; failures are reported and skipped
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Add an owner's key as an account's first rotation key, with which the owner can recover the identity without this server
    AddRecoveryKey {
        /// The account's handle, DID or e-mail address
        account: String,
        /// The owner's public key, a did:key
        #[arg(required_unless_present = "generate", conflicts_with = "generate")]
        key: Option<String>,
        /// Make a key, and print its private half once for the owner to keep
        #[arg(long)]
        generate: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Find accounts by the beginning of their e-mail address
    Search {
        /// The beginning
        email: String,
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Continue after the previous page, which printed the cursor
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Set an account's password, which ends its sessions
    SetPassword {
        /// Its handle, DID or e-mail address
        account: String,
        /// Read the password from standard input, instead of making and printing one
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Set an account's e-mail address, which is not confirmed then
    SetEmail {
        /// Its handle, DID or e-mail address
        account: String,
        /// The address
        email: String,
        #[command(flatten)]
        target: Target,
    },
    /// Show the DID document of an account on a did:web that was made here, or change where it points to
    DidWeb {
        /// Its handle, DID or e-mail address; once the account is gone, the DID or its host name
        account: String,
        /// Name this server in it from now on: the identity has moved there
        #[arg(long, value_name = "URL", requires = "signing_key", conflicts_with = "reset")]
        pds: Option<String>,
        /// The key that signs the repository there
        #[arg(long, value_name = "DID:KEY", requires = "pds")]
        signing_key: Option<String>,
        /// The handle that it has there [default: the same]
        #[arg(long, requires = "pds")]
        handle: Option<String>,
        /// Name this server and the account's key again
        #[arg(long)]
        reset: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Delete an account permanently, with its repository and blobs, and emit an #account event
    Delete {
        /// Its handle, DID or e-mail address
        account: String,
        /// Free its handle at once, instead of holding it for its former owner
        #[arg(long)]
        free_handle: bool,
        /// Don't ask for confirmation
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Deactivate an account: it is hidden and takes no writes until it is activated again
    Deactivate {
        /// Its handle, DID or e-mail address
        account: String,
        /// Don't ask for confirmation
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Activate a deactivated account again
    Activate {
        /// Its handle, DID or e-mail address
        account: String,
        #[command(flatten)]
        target: Target,
    },
    /// Disable an account's invites: it gets no codes, and its codes can't be used
    DisableInvites {
        /// Its handle, DID or e-mail address
        account: String,
        /// Why
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Enable an account's invites again
    EnableInvites {
        /// Its handle, DID or e-mail address
        account: String,
        /// Why
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod account migrate-in`
#[derive(Debug, Args)]
pub(crate) struct MigrateIn {
    /// Who it is at the old server: handle, DID or e-mail address. The password is read from standard input
    pub(crate) account: String,
    /// The server that the account is at
    #[arg(long, value_name = "URL")]
    pub(crate) from: url::Url,
    /// The server that it moves to
    #[arg(long, value_name = "URL", default_value = "http://localhost:2583")]
    pub(crate) to: url::Url,
    /// The handle to have at the new server [default: the same]
    #[arg(long)]
    pub(crate) handle: Option<String>,
    /// The e-mail address to have at the new server [default: the same]
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// An invite code of the new server
    #[arg(long, value_name = "CODE")]
    pub(crate) invite: Option<String>,
    /// The sign-in code that the old server mailed, if it asks for one
    #[arg(long, value_name = "CODE")]
    pub(crate) auth_factor_code: Option<String>,
    /// The code that the old server mailed for the change of the identity
    #[arg(long, value_name = "CODE")]
    pub(crate) plc_code: Option<String>,
    /// Only look whether it would work, and how much there is
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Answer in JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How something is taken down.
#[derive(Debug, Args)]
pub(crate) struct Decision {
    /// The decision, e.g. the number of a report
    #[arg(long = "ref", value_name = "REF", conflicts_with = "undo")]
    pub(crate) reference: Option<String>,
    /// Show it again
    #[arg(long)]
    pub(crate) undo: bool,
}

/// `allod takedown`
#[derive(Debug, Subcommand)]
pub(crate) enum Takedown {
    /// An account with everything in it; ends its sessions
    Account {
        /// Its handle, DID or e-mail address
        account: String,
        #[command(flatten)]
        decision: Decision,
        #[command(flatten)]
        target: Target,
    },
    /// A record
    Record {
        /// Its URI: `at://DID/COLLECTION/RKEY`
        uri: String,
        #[command(flatten)]
        decision: Decision,
        #[command(flatten)]
        target: Target,
    },
    /// A blob: its bytes are hidden in every account and can't be uploaded again
    Blob {
        /// Its account's handle, DID or e-mail address
        account: String,
        /// Its CID
        cid: String,
        #[command(flatten)]
        decision: Decision,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod admin-token`
#[derive(Debug, Subcommand)]
pub(crate) enum AdminToken {
    /// Create a token and print it once
    Create {
        /// Its name, also in the audit log
        name: String,
        /// Allow only what moderators need
        #[arg(long)]
        moderator: bool,
        /// After how many days it expires [default: never]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3650))]
        expires_days: Option<u32>,
        #[command(flatten)]
        target: Target,
    },
    /// List the tokens
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Revoke a token at once
    Revoke {
        /// Its name
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod firehose`
#[derive(Debug, Subcommand)]
pub(crate) enum Firehose {
    /// Show the newest and oldest event, the subscribers, the relays, and whose cursor is ahead of the events
    Status {
        #[command(flatten)]
        target: Target,
    },
    /// Number events above N from now on, so that subscribers whose cursor is ahead get them again
    RaiseSequence {
        /// The number [default: a million above the newest]
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        number: Option<i64>,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod data`
#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Show the keys and names that the data was made with, and what is configured
    Show {
        #[command(flatten)]
        target: Target,
    },
    /// Confirm that the configured names or keys take the place of those that the data was made with
    #[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
    Accept {
        /// The host name and the service DID
        #[arg(long, group = "what")]
        hostname: bool,
        /// The did:plc rotation key
        #[arg(long, group = "what")]
        rotation_key: bool,
        /// Don't ask for confirmation
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod mail`
#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// Show how many e-mails wait, and why the last failed one was not sent
    Status {
        #[command(flatten)]
        target: Target,
    },
    /// Send a test e-mail at once
    Test {
        /// The recipient's address
        address: String,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod invite`
#[derive(Debug, Subcommand)]
pub(crate) enum Invite {
    /// Create invite codes
    Create {
        /// How many accounts each code makes
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        uses: u32,
        /// How many codes
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=500))]
        count: u32,
        /// The DID of the account the codes are given to
        #[arg(long, value_name = "DID")]
        for_account: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// List invite codes, newest first
    List {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        target: Target,
    },
    /// Show one invite code and who used it, oldest first
    Show {
        /// The code
        code: String,
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        target: Target,
    },
    /// Disable invite codes
    Disable {
        /// The codes
        #[arg(required_unless_present = "accounts")]
        codes: Vec<String>,
        /// Disable all codes of the account with this DID
        #[arg(long = "account", value_name = "DID")]
        accounts: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod handle`
#[derive(Debug, Subcommand)]
pub(crate) enum Handle {
    /// List handles that are held for the account that had them, or reserved
    List {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        target: Target,
    },
    /// Release a handle that is held or reserved, so that anybody can have it
    Release {
        /// The handle
        handle: String,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod queue`
#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// List the accounts in the queue, oldest first
    List {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        target: Target,
    },
    /// Admit accounts
    Admit {
        /// Their handles, DIDs or e-mail addresses
        #[arg(required_unless_present = "next", conflicts_with = "next")]
        accounts: Vec<String>,
        /// The COUNT accounts that wait longest
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
        next: Option<u32>,
        #[command(flatten)]
        target: Target,
    },
    /// Reject accounts: delete them, with their handles and e-mail addresses; no event is emitted
    Refuse {
        /// Their handles, DIDs or e-mail addresses
        #[arg(required = true)]
        accounts: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod repo`
#[derive(Debug, Subcommand)]
pub(crate) enum Repo {
    /// Verify that what is stored of a repository is consistent; changes nothing
    Verify {
        /// The account's DID, handle or e-mail address
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        account: Option<String>,
        /// Check every repository
        #[arg(long)]
        all: bool,
        /// Read the bytes of blobs, too, and check them
        #[arg(long)]
        blobs: bool,
        /// Read the event log, too, and check it
        #[arg(long)]
        events: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Write a repository to a CAR file
    Export {
        /// The account's DID, handle or e-mail address
        account: String,
        /// The file [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        #[command(flatten)]
        target: Target,
    },
    /// Replace a repository with the contents of a CAR file signed by the account or by this server
    Import {
        /// The account's DID, handle or e-mail address
        account: String,
        /// The CAR file
        file: PathBuf,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod config`
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show what is wrong, or the effective settings; check the data too
    Check {
        /// Answer in JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// List every setting
    List {
        /// As the page docs/configuration.md
        #[arg(long)]
        markdown: bool,
    },
}

/// `allod secrets`
#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Print new secrets in the form of a pds.env file
    Generate {
        /// In the form of a configuration file (allod.toml) instead
        #[arg(long)]
        toml: bool,
    },
    /// Print the master key in use, to be set as `master_key_hex` where it was derived so far
    MasterKey(ConfigFile),
}
