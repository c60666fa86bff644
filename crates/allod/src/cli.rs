//! The command line's shape.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};

/// The exit codes, as `--help` tells them.
const EXIT_CODES: &str = "Exit codes: 0 success, 1 failure, 2 invalid usage or configuration.";

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
    /// Run a local development network: a server and a did:plc directory, without configuration
    Dev(Dev),
    /// Run the server
    Serve(ConfigFile),
    /// Run only a did:plc directory
    Plc(Plc),
    /// Create, show, change and delete accounts
    #[command(subcommand)]
    Account(Account),
    /// Take down accounts, records and blobs, or restore them
    #[command(subcommand)]
    Takedown(Takedown),
    /// Create and revoke tokens for the administration methods
    #[command(subcommand)]
    AdminToken(AdminToken),
    /// Show the audit log of operators and moderators, newest first
    Audit {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        target: Target,
    },
    /// Show the health of the running server, with a remedy for each problem
    Status(Target),
    /// Show the status of the event stream, its subscribers and relays; raise the sequence after a restore
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
    /// Show the mail queue; send a test e-mail
    #[command(subcommand)]
    Mail(Mail),
    /// Verify repositories, export them to CAR files and import them
    #[command(subcommand)]
    Repo(Repo),
    /// Show the keys and names that the data belongs to; confirm a change
    #[command(subcommand)]
    Data(Data),
    /// Check and explain the configuration
    #[command(subcommand)]
    Config(Config),
    /// Generate the server's secrets
    #[command(subcommand)]
    Secrets(Secrets),
}

/// `allod dev`
#[derive(Debug, Args)]
pub(crate) struct Dev {
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "./allod-dev", conflicts_with = "ephemeral")]
    pub(crate) data_dir: PathBuf,
    /// Use a temporary data directory and delete it on exit
    #[arg(long)]
    pub(crate) ephemeral: bool,
    /// The server's port, part of the accounts' DID documents; 0 selects a free port, and the same one again for the same data
    #[arg(long, default_value_t = 2583)]
    pub(crate) port: u16,
    /// The did:plc directory's port; 0 selects a free port
    #[arg(long, default_value_t = 2582)]
    pub(crate) plc_port: u16,
    /// The address to listen on; any address other than 127.0.0.1 may expose the server to other machines
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) bind: std::net::IpAddr,
    /// Also serve the firehose as JSON at /subscribe, in Jetstream format
    #[arg(long)]
    pub(crate) jetstream: bool,
}

/// `allod plc`
#[derive(Debug, Args)]
pub(crate) struct Plc {
    /// The port to listen on; 0 selects a free port
    #[arg(long, default_value_t = 2582)]
    pub(crate) port: u16,
    /// The address to listen on
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) bind: std::net::IpAddr,
    /// The data directory
    #[arg(long, value_name = "DIR", default_value = "./allod-plc")]
    pub(crate) data_dir: PathBuf,
}

/// Which part of a list is shown.
#[derive(Debug, Args)]
pub(crate) struct Page {
    /// The maximum number of entries
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
    /// Continue from this cursor, printed with the previous page
    #[arg(long)]
    pub(crate) cursor: Option<String>,
}

/// Which server an administrative command is for, and how it answers.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The server's data directory [default: from the configuration (see --config), else ./allod-dev]
    #[arg(long, value_name = "DIR")]
    pub(crate) data_dir: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) config: ConfigFile,
}

/// `allod account`
#[derive(Debug, Subcommand)]
pub(crate) enum Account {
    /// Create an account, without an invite code
    Create {
        /// The handle, like alice.example.com
        handle: String,
        /// Allow a reserved handle, like admin.example.com
        #[arg(long)]
        allow_reserved: bool,
        /// The e-mail address
        #[arg(long)]
        email: Option<String>,
        /// Read the password from standard input instead of generating and printing one
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
    /// Migrate an account from another server to this one; run it again after a failure
    MigrateIn(Box<MigrateIn>),
    /// Show one account
    Show {
        /// The account's handle, DID or e-mail address
        account: String,
        #[command(flatten)]
        target: Target,
    },
    /// Replace an account's signing key, first in the DID document and then for new commits
    RotateKey {
        /// The account's handle, DID or e-mail address
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        account: Option<String>,
        /// Process every account, oldest first; report failures and continue
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Add an owner's key as the first rotation key, so that the owner can recover the identity without this server
    AddRecoveryKey {
        /// The account's handle, DID or e-mail address
        account: String,
        /// The owner's public key, a did:key
        #[arg(required_unless_present = "generate", conflicts_with = "generate")]
        key: Option<String>,
        /// Generate a key pair and print the private key once, for the owner
        #[arg(long)]
        generate: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Find accounts by the beginning of their e-mail address
    Search {
        /// The first characters of the address
        email: String,
        /// The maximum number of entries
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100))]
        limit: u32,
        /// Continue from this cursor, printed with the previous page
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Set an account's password and revoke its sessions
    SetPassword {
        /// The account's handle, DID or e-mail address
        account: String,
        /// Read the password from standard input instead of generating and printing one
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Set an account's e-mail address; the new address is unconfirmed
    SetEmail {
        /// The account's handle, DID or e-mail address
        account: String,
        /// The new address
        email: String,
        #[command(flatten)]
        target: Target,
    },
    /// Show the DID document of a did:web created here, or change the server it points to
    DidWeb {
        /// The account's handle, DID or e-mail address; for a deleted account its DID or host name
        account: String,
        /// The server to name in the document: the account has moved there
        #[arg(long, value_name = "URL", requires = "signing_key", conflicts_with = "reset")]
        pds: Option<String>,
        /// The key that signs the repository at that server
        #[arg(long, value_name = "DID:KEY", requires = "pds")]
        signing_key: Option<String>,
        /// The account's handle at that server [default: unchanged]
        #[arg(long, requires = "pds")]
        handle: Option<String>,
        /// Point the document back to this server and the account's key
        #[arg(long)]
        reset: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Delete an account permanently, with its repository and blobs, and emit an #account event
    Delete {
        /// The account's handle, DID or e-mail address
        account: String,
        /// Release its handle at once instead of holding it for its former owner
        #[arg(long)]
        free_handle: bool,
        /// Skip the confirmation
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Deactivate an account: it is hidden and rejects writes until it is activated again
    Deactivate {
        /// The account's handle, DID or e-mail address
        account: String,
        /// Skip the confirmation
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Activate a deactivated account again
    Activate {
        /// The account's handle, DID or e-mail address
        account: String,
        #[command(flatten)]
        target: Target,
    },
    /// Disable an account's invites: it gets no new codes, and its codes can't be used
    DisableInvites {
        /// The account's handle, DID or e-mail address
        account: String,
        /// The reason
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Enable an account's invites again
    EnableInvites {
        /// The account's handle, DID or e-mail address
        account: String,
        /// The reason
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod account migrate-in`
#[derive(Debug, Args)]
pub(crate) struct MigrateIn {
    /// The account's handle, DID or e-mail address at the old server. The password is read from standard input
    pub(crate) account: String,
    /// The old server
    #[arg(long, value_name = "URL")]
    pub(crate) from: url::Url,
    /// The new server
    #[arg(long, value_name = "URL", default_value = "http://localhost:2583")]
    pub(crate) to: url::Url,
    /// The handle at the new server [default: unchanged]
    #[arg(long)]
    pub(crate) handle: Option<String>,
    /// The e-mail address at the new server [default: unchanged]
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// An invite code for the new server
    #[arg(long, value_name = "CODE")]
    pub(crate) invite: Option<String>,
    /// The sign-in code that the old server sent by e-mail, if it requires one
    #[arg(long, value_name = "CODE")]
    pub(crate) auth_factor_code: Option<String>,
    /// The code that the old server sent by e-mail to confirm the identity change
    #[arg(long, value_name = "CODE")]
    pub(crate) plc_code: Option<String>,
    /// Only check whether the migration is possible, and count records and blobs
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// How something is taken down.
#[derive(Debug, Args)]
pub(crate) struct Decision {
    /// A reference to the decision, e.g. a report number
    #[arg(long = "ref", value_name = "REF", conflicts_with = "undo")]
    pub(crate) reference: Option<String>,
    /// Undo the takedown
    #[arg(long)]
    pub(crate) undo: bool,
}

/// `allod takedown`
#[derive(Debug, Subcommand)]
pub(crate) enum Takedown {
    /// Take down an account with all its content, and revoke its sessions
    Account {
        /// The account's handle, DID or e-mail address
        account: String,
        #[command(flatten)]
        decision: Decision,
        #[command(flatten)]
        target: Target,
    },
    /// Take down a record
    Record {
        /// The record's URI: `at://DID/COLLECTION/RKEY`
        uri: String,
        #[command(flatten)]
        decision: Decision,
        #[command(flatten)]
        target: Target,
    },
    /// Take down a blob in every account; the same bytes can't be uploaded again
    Blob {
        /// The account's handle, DID or e-mail address
        account: String,
        /// The blob's CID
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
        /// The token's name, which also appears in the audit log
        name: String,
        /// Limit the token to the moderator scope
        #[arg(long)]
        moderator: bool,
        /// The number of days until the token expires [default: never]
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
        /// The token's name
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod firehose`
#[derive(Debug, Subcommand)]
pub(crate) enum Firehose {
    /// Show the newest and oldest event, subscribers, relays, and cursors ahead of the newest event
    Status {
        #[command(flatten)]
        target: Target,
    },
    /// Continue event numbers above N, so that subscribers with a cursor ahead receive events again
    RaiseSequence {
        /// The number N [default: the newest event number plus a million]
        #[arg(value_parser = clap::value_parser!(i64).range(1..))]
        number: Option<i64>,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod data`
#[derive(Debug, Subcommand)]
pub(crate) enum Data {
    /// Show the keys and names that the data was created with, and the configured ones
    Show {
        #[command(flatten)]
        target: Target,
    },
    /// Confirm that the configured names or keys replace those that the data was created with
    #[command(group(clap::ArgGroup::new("what").required(true).multiple(true)))]
    Accept {
        /// The host name and the service DID
        #[arg(long, group = "what")]
        hostname: bool,
        /// The did:plc rotation key
        #[arg(long, group = "what")]
        rotation_key: bool,
        /// Skip the confirmation
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod mail`
#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// Show how many e-mails are queued, and the error of the last failed attempt
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
        /// The number of accounts that each code can create
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
        uses: u32,
        /// The number of codes
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=500))]
        count: u32,
        /// The DID of the account that owns the codes
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
    /// Show an invite code and its uses, oldest first
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
    /// List handles that are held for their former account, and reserved handles
    List {
        #[command(flatten)]
        page: Page,
        #[command(flatten)]
        target: Target,
    },
    /// Release a held or reserved handle, so that anyone can use it
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
        /// Admit the COUNT oldest accounts in the queue
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
        next: Option<u32>,
        #[command(flatten)]
        target: Target,
    },
    /// Reject accounts: delete them and free their handles and e-mail addresses; no event is emitted
    #[command(alias = "refuse")]
    Reject {
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
    /// Verify that the stored data of a repository is consistent; read-only
    Verify {
        /// The account's DID, handle or e-mail address
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        account: Option<String>,
        /// Verify every repository
        #[arg(long)]
        all: bool,
        /// Also read and verify the bytes of blobs
        #[arg(long)]
        blobs: bool,
        /// Also read and verify the event log
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
    /// Show the problems of the configuration, or the effective settings; check the data too
    Check {
        /// Print JSON
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        file: ConfigFile,
    },
    /// List every setting
    List {
        /// In Markdown, as in docs/configuration.md
        #[arg(long)]
        markdown: bool,
    },
}

/// `allod secrets`
#[derive(Debug, Subcommand)]
pub(crate) enum Secrets {
    /// Print new secrets in the format of a pds.env file
    Generate {
        /// Use the format of a configuration file (allod.toml) instead
        #[arg(long)]
        toml: bool,
    },
    /// Print the current master key; set it as `master_key_hex` if it is derived from the rotation key
    MasterKey(ConfigFile),
}
