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
    /// The configuration file [default: ./allod.toml if there]
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
    /// Create and look at accounts
    #[command(subcommand)]
    Account(Account),
    /// Take accounts, records and blobs down, and back
    #[command(subcommand)]
    Takedown(Takedown),
    /// Make and end tokens that open the administration methods
    #[command(subcommand)]
    AdminToken(AdminToken),
    /// Show what operators and moderators did, newest first
    Audit {
        /// How many entries at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        target: Target,
    },
    /// Look at the event stream and who listens to it
    #[command(subcommand)]
    Firehose(Firehose),
    /// Create and look at invite codes
    #[command(subcommand)]
    Invite(Invite),
    /// Let in, or refuse, who waits in the sign-up queue
    #[command(subcommand)]
    Queue(Queue),
    /// Look at the mail that waits, and try whether letters get through
    #[command(subcommand)]
    Mail(Mail),
    /// Check repositories, and write them to files and read them from there
    #[command(subcommand)]
    Repo(Repo),
    /// Explain the configuration
    #[command(subcommand)]
    Config(Config),
    /// Make the secrets a server needs
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
    /// The server's port; 0 takes a free one
    #[arg(long, default_value_t = 2583)]
    pub(crate) port: u16,
    /// The did:plc directory's port; 0 takes a free one
    #[arg(long, default_value_t = 2582)]
    pub(crate) plc_port: u16,
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

/// Which server an administrative command is for, and how it answers.
#[derive(Debug, Args)]
pub(crate) struct Target {
    /// The server's data directory [default: the configured one, else ./allod-dev]
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
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Go on behind the previous page; its answer names the cursor
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Move an account from another server to this one; say the same again when it broke off
    MigrateIn(Box<MigrateIn>),
    /// Show one account
    Show {
        /// Its handle, DID or e-mail address
        account: String,
        #[command(flatten)]
        target: Target,
    },
    /// Give accounts another signing key, in their DID documents and from their next commit on
    RotateKey {
        /// The account's handle, DID or e-mail address
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        account: Option<String>,
        /// Every account, oldest first; one that fails is told of and passed by
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Put a key of the owner's first among an account's rotation keys, with which the identity can be won back without us
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
        /// Go on behind the previous page; its answer names the cursor
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Give an account another password, which ends its sign-ins
    SetPassword {
        /// Its handle, DID or e-mail address
        account: String,
        /// Read the password from standard input, instead of making and printing one
        #[arg(long)]
        password_stdin: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Give an account another e-mail address, not confirmed yet
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
    /// Close an account's invites: it gets no codes, and those it has make no account
    DisableInvites {
        /// Its handle, DID or e-mail address
        account: String,
        /// Why
        #[arg(long)]
        note: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Open an account's invites again
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
    /// An account, and with it everything of it; ends its sign-ins
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
    /// A blob: nobody sees its bytes, whoever has them, or uploads them again
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
    /// Make a token and print it, this once
    Create {
        /// What it is called, also in the audit log
        name: String,
        /// Open only what moderators need
        #[arg(long)]
        moderator: bool,
        /// After how many days it ends [default: never]
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
    /// End a token at once
    Revoke {
        /// What it is called
        name: String,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod firehose`
#[derive(Debug, Subcommand)]
pub(crate) enum Firehose {
    /// Show the newest and oldest event, the subscribers and the relays
    Status {
        #[command(flatten)]
        target: Target,
    },
}

/// `allod mail`
#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// Show how many letters wait, and why the last one that was not sent was not
    Status {
        #[command(flatten)]
        target: Target,
    },
    /// Send a letter at once
    Test {
        /// Whom to
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
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        #[command(flatten)]
        target: Target,
    },
    /// Show one invite code and who used it
    Show {
        /// The code
        code: String,
        #[command(flatten)]
        target: Target,
    },
    /// Close invite codes
    Disable {
        /// The codes
        #[arg(required_unless_present = "accounts")]
        codes: Vec<String>,
        /// Close all codes of the account with this DID
        #[arg(long = "account", value_name = "DID")]
        accounts: Vec<String>,
        #[command(flatten)]
        target: Target,
    },
}

/// `allod queue`
#[derive(Debug, Subcommand)]
pub(crate) enum Queue {
    /// List who waits, oldest first
    List {
        /// How many at most
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
        /// Where the previous page ended
        #[arg(long)]
        cursor: Option<String>,
        #[command(flatten)]
        target: Target,
    },
    /// Let accounts in
    Admit {
        /// Their handles, DIDs or e-mail addresses
        #[arg(required_unless_present = "next", conflicts_with = "next")]
        accounts: Vec<String>,
        /// So many of those who wait longest
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=1000))]
        next: Option<u32>,
        #[command(flatten)]
        target: Target,
    },
    /// Refuse accounts: they go, with their handles and addresses, and nobody hears of them
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
    /// Check that what is stored of a repository belongs together; changes nothing
    Verify {
        /// The account's DID, handle or e-mail address
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        account: Option<String>,
        /// Check every repository
        #[arg(long)]
        all: bool,
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
    /// Replace a repository by that of a CAR file, which the account or this server has signed
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
    /// Say what is wrong, or which settings hold
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
    Generate,
}
