//! Each thing the server depends on takes what is sent to it and never answers, one after the other. Whoever needs it
//! waits a bounded time or is told at once; everybody else notices nothing.

use std::{
    net::{SocketAddr, UdpSocket},
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, Mutex},
    time::Duration,
};

use allod_base::secret::Secret;
use allod_net::{
    dns::Dns,
    limits::{LOOKUP_MILLIS_MAX, LOOKUPS_OF_DIRECTORY_MAX, LOOKUPS_PER_CLIENT_MAX, LOOKUPS_PER_SITE_MAX},
    outbound::{Answer, Guarded, Outbound, OutboundError},
};
use allod_server::{
    adapters::{
        sendmail::{Sendmail, SendmailConfig},
        site_verify::CaptchaConfig,
        smtp::{Smtp, SmtpConfig, SmtpTls},
        twilio::TwilioConfig,
    },
    config::{PhoneConfig, ServiceConfig, Verification},
    control::{self, Command, Password, Silent},
};
use allod_testkit::{Actor, Behaviour, Options, TestPds};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all, pending},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::Instant,
};
use url::Url;

/// How long the work of [`unhindered`] may take: far less than anything it could wait for, and long enough for a busy
/// machine.
const UNHINDERED: Duration = Duration::from_secs(4);

/// A network that takes every request and answers none.
#[derive(Default)]
struct Silence {
    /// The paths that were asked for.
    asked: Mutex<Vec<String>>,
}

impl Silence {
    fn count(&self, path: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == path).count()
    }
}

impl Outbound for Silence {
    fn get<'a>(&'a self, url: &'a Url, _: usize) -> BoxFuture<'a, Result<Answer, OutboundError>> {
        self.asked.lock().unwrap().push(url.path().to_owned());
        pending().boxed()
    }

    fn post_json<'a>(&'a self, _: &'a Url, _: String, _: usize) -> BoxFuture<'a, Result<Answer, OutboundError>> {
        pending().boxed()
    }

    fn txt<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<String>, OutboundError>> {
        pending().boxed()
    }
}

/// A nameserver that never answers.
fn silent_nameserver() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// A server that takes connections and never says anything.
async fn silent_server() -> (JoinHandle<()>, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let holding = tokio::spawn(async move {
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await);
        }
    });
    (holding, port)
}

/// As few threads for blocking work as there could be: whoever blocks one blocks everybody.
fn options() -> Options {
    TestPds::options().blocking_threads(2)
}

/// Signs in, reads, writes and uploads, and checks that nothing of it waits for the hole.
async fn unhindered(pds: &TestPds, actor: &Actor, hole: &str) {
    let work = async {
        pds.sign_in("alice").await;
        let record = json!({ "$type": "com.example.note", "text": hole });
        let body = json!({ "repo": actor.did, "collection": "com.example.note", "rkey": "one", "record": record });
        pds.xrpc_post("com.atproto.repo.putRecord").bearer(&actor.access).json(&body).ok().await;
        let get = pds.xrpc_get("com.atproto.repo.getRecord").param("repo", &actor.did);
        get.param("collection", "com.example.note").param("rkey", "one").ok().await;
        let upload = pds.xrpc_post("com.atproto.repo.uploadBlob").bearer(&actor.access);
        upload.body("text/plain", hole.to_owned()).ok().await;
    };
    let done = tokio::time::timeout(UNHINDERED, work).await;
    assert!(done.is_ok(), "{hole}: others waited for it");
}

/// Asks for a handle or DID as a client at an address of its own; gives the status.
async fn looked_up(pds: &TestPds, nsid: &str, parameter: &str, value: String, client: &str) -> u16 {
    let call = pds.xrpc_get(nsid).param(parameter, value).header("x-forwarded-for", client);
    call.send().await.status.as_u16()
}

/// How many handles were looked up in vain, and how many were not looked up for want of a slot.
fn waited_and_refused(statuses: &[u16]) -> (usize, usize) {
    let count = |wanted: u16| statuses.iter().filter(|status| **status == wanted).count();
    (count(400), count(503))
}

const RESOLVE_HANDLE: &str = "com.atproto.identity.resolveHandle";
const RESOLVE_DID: &str = "com.atproto.identity.resolveDid";

#[tokio::test]
async fn a_nameserver() {
    let (_nameserver, address) = silent_nameserver();
    let guarded = Guarded::new(3_000, false, Dns::asking(vec![address]));
    let pds = options().outbound(Arc::new(guarded)).start().await;
    let alice = pds.account("alice").await;
    let began = Instant::now();
    // Twice what one client may look up.
    let lookups = (0..2 * LOOKUPS_PER_CLIENT_MAX)
        .map(|n| looked_up(&pds, RESOLVE_HANDLE, "handle", format!("a.site{n}.com"), "203.0.113.1"));
    let (statuses, ()) = tokio::join!(join_all(lookups), unhindered(&pds, &alice, "DNS"));
    let bounded = (LOOKUPS_PER_CLIENT_MAX, LOOKUPS_PER_CLIENT_MAX);
    assert_eq!(waited_and_refused(&statuses), bounded, "{statuses:?}");
    let bound = Duration::from_millis(LOOKUP_MILLIS_MAX) + UNHINDERED;
    assert!(began.elapsed() < bound, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_host_of_identities() {
    let silence = Arc::new(Silence::default());
    let outbound: Arc<dyn Outbound> = Arc::clone(&silence) as _;
    let pds = options().outbound(outbound).start().await;
    let alice = pds.account("alice").await;
    // Twice what one client may look up, and twice what one site may be asked for.
    let of_a_client = (0..2 * LOOKUPS_PER_CLIENT_MAX)
        .map(|n| looked_up(&pds, RESOLVE_DID, "did", format!("did:web:a.site{n}.com"), "203.0.113.1"));
    let of_a_site = (0..2 * LOOKUPS_PER_SITE_MAX)
        .map(|n| looked_up(&pds, RESOLVE_HANDLE, "handle", format!("a{n}.one.com"), format!("198.51.100.{n}").leak()));
    let (by_client, by_site, ()) =
        tokio::join!(join_all(of_a_client), join_all(of_a_site), unhindered(&pds, &alice, "did:web"));
    // Whoever had a slot waited in vain; the others were told at once. Both are the same to who asks for a document.
    assert!(by_client.iter().all(|status| *status == 502), "{by_client:?}");
    assert_eq!(silence.count("/.well-known/did.json"), LOOKUPS_PER_CLIENT_MAX);
    assert_eq!(waited_and_refused(&by_site), (LOOKUPS_PER_SITE_MAX, LOOKUPS_PER_SITE_MAX), "{by_site:?}");
}

#[tokio::test]
async fn the_directory() {
    let pds = options().start().await;
    let alice = pds.account("alice").await;
    pds.plc().behave_on_reads(Behaviour::Hang);
    pds.plc().behave_on_submissions(Behaviour::Hang);
    let did = |n: usize| format!("did:plc:{}{}", "a".repeat(20), ["2222", "3333", "4444", "5555"][n % 4]);
    let lookups = (0..LOOKUPS_OF_DIRECTORY_MAX + 8)
        .map(|n| looked_up(&pds, RESOLVE_DID, "did", did(n), format!("203.0.113.{}", n / 8).leak()));
    let reads_before = pds.plc().reads();
    let (statuses, ()) = tokio::join!(join_all(lookups), unhindered(&pds, &alice, "directory"));
    assert!(statuses.iter().all(|status| *status == 502), "{statuses:?}");
    assert_eq!(pds.plc().reads() - reads_before, LOOKUPS_OF_DIRECTORY_MAX);
}

/// A job that hangs is no other job's matter.
#[tokio::test]
async fn a_relay() {
    let relays = vec![Url::parse("https://relay.example.com").unwrap()];
    let options = options().outbound(Arc::new(Silence::default())).config(move |config| {
        config.firehose.relays.clone_from(&relays);
    });
    let pds = options.start().await;
    pds.account("alice").await;
    let bob = pds.account("bob").await;
    deactivate_for_a_while(&pds, &bob).await;
    // No account is deleted sooner than three days after its deactivation.
    pds.advance(Duration::from_hours(80));
    is_deleted(&pds, &bob).await;
    unhindered(&pds, &pds.sign_in("alice").await, "relay").await;
}

/// Sign-ups that wait for a directory that hangs hold up no other job.
#[tokio::test]
async fn the_directory_and_the_jobs() {
    let pds = options().plc_timeout(Duration::from_secs(30)).start().await;
    let bob = pds.account("bob").await;
    deactivate_for_a_while(&pds, &bob).await;
    pds.plc().behave_on_submissions(Behaviour::WorkAndDrop);
    pds.plc().behave_on_reads(Behaviour::Answer(500, "no".to_owned()));
    for name in ["carol", "dan", "erin"] {
        let (handle, email) = (format!("{name}.test"), format!("{name}@example.com"));
        let body = json!({ "handle": handle, "email": email, "password": "long enough" });
        assert_eq!(pds.xrpc_post("com.atproto.server.createAccount").json(&body).send().await.status, 503);
    }
    pds.plc().behave_on_reads(Behaviour::Hang);
    // No account is deleted sooner than three days after its deactivation.
    pds.advance(Duration::from_hours(80));
    is_deleted(&pds, &bob).await;
    pds.plc().behave_on_reads(Behaviour::Work);
}

async fn deactivate_for_a_while(pds: &TestPds, actor: &Actor) {
    let until = allod_base::clock::datetime(pds.app().clock.now_micros() + 3_600_000_000);
    let call = pds.xrpc_post("com.atproto.server.deactivateAccount").bearer(&actor.access);
    assert_eq!(call.json(&json!({ "deleteAfter": until })).send().await.status, 200);
}

/// Waits until the server's own timer has deleted an account.
async fn is_deleted(pds: &TestPds, actor: &Actor) {
    let deleted = async {
        while allod_store::tables::accounts::by_did(&*pds.app().db, &actor.did).await.unwrap().is_some() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(UNHINDERED, deleted).await.is_ok(), "the deletion waits for another job");
}

#[tokio::test]
async fn a_mail_server() {
    let (_nameserver, address) = silent_nameserver();
    let (_server, port) = silent_server().await;
    for (host, port) in [("mail.example.com", 587), ("127.0.0.1", port)] {
        let config = SmtpConfig {
            host: host.to_owned(),
            port,
            tls: SmtpTls::None,
            credentials: None,
            from: "noreply@example.com".to_owned(),
            ca_file: None,
        };
        let smtp = Smtp::new(&config, &service(), None, Dns::asking(vec![address])).unwrap();
        let pds = options().mail_transport(Arc::new(smtp)).start().await;
        let alice = pds.account("alice").await;
        for _ in 0..3 {
            let body = json!({ "email": "alice@mail.test" });
            pds.xrpc_post("com.atproto.server.requestPasswordReset").json(&body).send().await;
        }
        unhindered(&pds, &alice, "mail server").await;
    }
}

fn service() -> ServiceConfig {
    ServiceConfig {
        hostname: "pds.test".to_owned(),
        public_url: "https://pds.test".to_owned(),
        did: "did:web:pds.test".parse().unwrap(),
        name: "Test".to_owned(),
        version: "0".to_owned(),
        contact_email: None,
        privacy_policy_url: None,
        terms_of_service_url: None,
    }
}

/// A service that says of one captcha that it was solved, and then nothing more.
async fn fading_service() -> (JoinHandle<()>, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut request = [0; 4096];
        let mut length = 0;
        // The form comes last.
        while !request[..length].windows(9).any(|window| window == b"response=") {
            length += stream.read(&mut request[length..]).await.unwrap();
        }
        let head =
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: 16\r\n\r\n";
        stream.write_all(format!("{head}{{\"success\":true}}").as_bytes()).await.unwrap();
        drop(stream);
        let mut held = Vec::new();
        loop {
            held.push(listener.accept().await);
        }
    });
    (serving, port)
}

#[tokio::test]
async fn a_captcha_service() {
    let (_service, port) = fading_service().await;
    let captcha = CaptchaConfig {
        url: Url::parse(&format!("http://127.0.0.1:{port}/siteverify")).unwrap(),
        site_key: "site".to_owned(),
        secret_key: Secret::new("secret".to_owned()),
    };
    let required = Verification::Captcha(captcha);
    let pds = options().config(move |config| config.sign_up.verification = required.clone()).start().await;
    let sign_up = |name: &str| {
        let body = json!({
            "handle": format!("{name}.test"), "email": format!("{name}@mail.test"),
            "password": format!("password-of-{name}"), "verificationCode": format!("token of {name}"),
        });
        let call = pds.xrpc_post("com.atproto.server.createAccount").json(&body);
        async move { call.send().await.status.as_u16() }
    };
    assert_eq!(sign_up("alice").await, 200);
    let alice = pds.sign_in("alice").await;
    let waiting = join_all((0..16).map(|n| sign_up(&format!("waiting{n}"))));
    let (statuses, ()) = tokio::join!(waiting, unhindered(&pds, &alice, "captcha service"));
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
}

#[tokio::test]
async fn a_telephone_service() {
    let (_service, port) = silent_server().await;
    let twilio = TwilioConfig {
        base_url: Url::parse(&format!("http://127.0.0.1:{port}")).unwrap(),
        account_sid: "AC1".to_owned(),
        auth_token: Secret::new("token".to_owned()),
        service_sid: "VA1".to_owned(),
    };
    let phone = PhoneConfig { accounts_max: 4, twilio: Some(twilio) };
    let required = Verification::Phone(phone);
    let pds = options().config(move |config| config.sign_up.verification = required.clone()).start().await;
    let create = Command::AccountCreate {
        handle: "alice.test".to_owned(),
        email: Some("alice@mail.test".to_owned()),
        password: Password::new("password-of-alice".to_owned()),
        allow_reserved: false,
    };
    control::execute(pds.app(), create, &mut Silent).await.unwrap();
    let alice = pds.sign_in("alice").await;
    let waiting = join_all((0..16).map(|n| {
        let body = json!({ "phoneNumber": format!("+4930123456{n:02}") });
        let call = pds.xrpc_post("com.atproto.temp.requestPhoneVerification").json(&body);
        async move { call.send().await.status.as_u16() }
    }));
    let (statuses, ()) = tokio::join!(waiting, unhindered(&pds, &alice, "telephone service"));
    assert!(statuses.iter().all(|status| *status == 503), "{statuses:?}");
}

#[tokio::test]
async fn a_sendmail_command() {
    let folder = tempfile::tempdir().unwrap();
    let command = folder.path().join("sendmail");
    std::fs::write(&command, "#!/bin/sh\nexec sleep 1000\n").unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o700)).unwrap();
    let config = SendmailConfig { command, from: "noreply@example.com".to_owned() };
    let sendmail = Sendmail::new(&config, &service()).unwrap();
    let pds = options().mail_transport(Arc::new(sendmail)).start().await;
    let alice = pds.account("alice").await;
    for _ in 0..3 {
        let body = json!({ "email": "alice@mail.test" });
        pds.xrpc_post("com.atproto.server.requestPasswordReset").json(&body).send().await;
    }
    unhindered(&pds, &alice, "sendmail command").await;
}
