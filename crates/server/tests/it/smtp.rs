//! Mail over SMTP, against a small server of the test's own.

use std::sync::{Arc, Mutex};

use allod_base::secret::Secret;
use allod_net::dns::Dns;
use allod_server::{
    adapters::smtp::{Smtp, SmtpConfig, SmtpError, SmtpTls},
    config::ServiceConfig,
    domain::{
        email_codes::Purpose,
        mail::{Message, Transport, TransportError},
    },
};
use allod_testkit::TestPds;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

/// What the server does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Does {
    Accept,
    /// Answers the recipient with this code.
    Recipient(u16),
    /// Answers the letter with this code.
    Letter(u16),
    /// Answers the password with 535.
    RefusePassword,
    /// Ends the connection when the letter begins.
    HangUp,
    /// Says nothing at all.
    Hang,
}

#[derive(Clone, Default)]
struct Seen {
    letters: Arc<Mutex<Vec<String>>>,
    commands: Arc<Mutex<Vec<String>>>,
}

/// How a mail server protects its connections.
#[derive(Clone)]
enum Protects {
    Not,
    FromTheFirstByte(TlsAcceptor),
    ByStartTls(TlsAcceptor),
}

/// A mail server that does always the same, in clear.
async fn server(does: Does) -> (u16, Seen) {
    protected_server(does, Protects::Not).await
}

async fn protected_server(does: Does, protects: Protects) -> (u16, Seen) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let to_tell = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, protects) = (to_tell.clone(), protects.clone());
            tokio::spawn(async move {
                // A client that goes away ends the talk.
                let _ = protected_talk(stream, does, seen, protects).await;
            });
        }
    });
    (port, seen)
}

async fn protected_talk(stream: TcpStream, does: Does, seen: Seen, protects: Protects) -> std::io::Result<()> {
    match protects {
        Protects::Not => talk(stream, does, seen).await,
        Protects::FromTheFirstByte(tls) => talk(tls.accept(stream).await?, does, seen).await,
        Protects::ByStartTls(tls) => {
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 mail.test\r\n").await?;
            let mut line = String::new();
            while line.trim_end() != "STARTTLS" {
                line.clear();
                if stream.read_line(&mut line).await? == 0 {
                    return Ok(());
                }
                seen.commands.lock().unwrap().push(format!("in clear: {}", line.trim_end()));
                let answer: &[u8] =
                    if line.starts_with("EHLO") { b"250-mail.test\r\n250 STARTTLS\r\n" } else { b"220 go ahead\r\n" };
                stream.write_all(answer).await?;
            }
            greeted(tls.accept(stream.into_inner()).await?, does, seen).await
        }
    }
}

async fn talk(mut stream: impl AsyncRead + AsyncWrite + Unpin, does: Does, seen: Seen) -> std::io::Result<()> {
    if does == Does::Hang {
        seen.commands.lock().unwrap().push("connected".to_owned());
        std::future::pending::<()>().await;
    }
    stream.write_all(b"220 mail.test\r\n").await?;
    greeted(stream, does, seen).await
}

async fn greeted(stream: impl AsyncRead + AsyncWrite + Unpin, does: Does, seen: Seen) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(());
        }
        seen.commands.lock().unwrap().push(line.trim_end().to_owned());
        let answer = match line.get(..4).unwrap_or_default() {
            "EHLO" => "250-mail.test\r\n250 AUTH PLAIN LOGIN".to_owned(),
            "AUTH" if does == Does::RefusePassword => "535 wrong".to_owned(),
            "AUTH" => "235 welcome".to_owned(),
            "RCPT" => {
                if let Does::Recipient(code) = does {
                    format!("{code} not for this one")
                } else {
                    "250 ok".to_owned()
                }
            }
            "DATA" if does == Does::HangUp => return Ok(()),
            "DATA" => {
                stream.write_all(b"354 go ahead\r\n").await?;
                let mut letter = String::new();
                while !letter.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut letter).await? == 0 {
                        return Ok(());
                    }
                }
                if let Does::Letter(code) = does {
                    format!("{code} not this one")
                } else {
                    seen.letters.lock().unwrap().push(letter);
                    "250 taken".to_owned()
                }
            }
            "QUIT" => "221 bye".to_owned(),
            _ => "250 ok".to_owned(),
        };
        stream.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
}

fn service() -> ServiceConfig {
    ServiceConfig {
        hostname: "pds.example".to_owned(),
        public_url: "https://pds.example".to_owned(),
        did: "did:web:pds.example".parse().unwrap(),
        name: "Jo PDS".to_owned(),
        version: "1".to_owned(),
        contact_email: None,
        privacy_policy_url: None,
        terms_of_service_url: None,
    }
}

fn config(port: u16) -> SmtpConfig {
    SmtpConfig {
        host: "127.0.0.1".to_owned(),
        port,
        tls: SmtpTls::None,
        credentials: Some(("user".to_owned(), Secret::new("password".to_owned()))),
        from: "noreply@pds.example".to_owned(),
        ca_file: None,
    }
}

fn smtp(port: u16) -> Smtp {
    Smtp::new(&config(port), &service(), None, Dns::of_the_system()).unwrap()
}

fn message(to: &str, subject: &str) -> Message {
    Message {
        id: "00112233".to_owned(),
        to: to.to_owned(),
        subject: subject.to_owned(),
        text: "Grüße\n.\nABCDE-FGHIJ".to_owned(),
        html: "<p>Grüße</p>".to_owned(),
        time_micros: 1_700_000_000_000_000,
    }
}

#[tokio::test]
async fn a_letter_arrives_whole_and_says_who_sent_it() {
    let (port, seen) = server(Does::Accept).await;
    smtp(port).send(&message("alice@mail.test", "Schöne Grüße")).await.unwrap();
    let letter = seen.letters.lock().unwrap()[0].clone();
    for part in [
        "From: \"Jo PDS\" <noreply@pds.example>\r\n",
        "To: alice@mail.test\r\n",
        "Message-ID: <00112233@pds.example>\r\n",
        "Auto-Submitted: auto-generated\r\n",
        "Date: Tue, 14 Nov 2023 22:13:20 +0000\r\n",
        "ABCDE-FGHIJ",
        "text/html",
    ] {
        assert!(letter.contains(part), "{part} is not in\n{letter}");
    }
    let commands = seen.commands.lock().unwrap();
    assert!(commands.iter().any(|command| command == "EHLO pds.example"), "{commands:?}");
    assert!(commands.iter().any(|command| command.starts_with("AUTH PLAIN")), "{commands:?}");
    assert!(commands.contains(&"MAIL FROM:<noreply@pds.example>".to_owned()), "{commands:?}");
}

#[tokio::test]
async fn what_passes_is_told_from_what_lasts() {
    for (does, lasts) in [
        (Does::Recipient(550), true),
        (Does::Recipient(450), false),
        (Does::Recipient(552), false),
        (Does::Letter(553), true),
        (Does::Letter(451), false),
        (Does::RefusePassword, false),
        (Does::HangUp, false),
    ] {
        let (port, seen) = server(does).await;
        let error = smtp(port).send(&message("alice@mail.test", "Hi")).await.unwrap_err();
        assert_eq!(matches!(error, TransportError::Lasting(_)), lasts, "{error}");
        assert!(seen.letters.lock().unwrap().is_empty() && !error.to_string().contains("ABCDE"), "{error}");
    }
    let free = TcpListener::bind(("127.0.0.1", 0)).await.unwrap().local_addr().unwrap().port();
    let error = smtp(free).send(&message("alice@mail.test", "Hi")).await.unwrap_err();
    assert!(matches!(error, TransportError::Passing(_)), "{error}");
}

#[tokio::test]
async fn nothing_is_sent_in_clear_where_tls_is_required() {
    let (port, seen) = server(Does::Accept).await;
    let smtp =
        Smtp::new(&SmtpConfig { tls: SmtpTls::Required, ..config(port) }, &service(), None, Dns::of_the_system())
            .unwrap();
    let error = smtp.send(&message("alice@mail.test", "Hi")).await.unwrap_err();
    assert!(matches!(error, TransportError::Passing(_)), "{error}");
    let commands = seen.commands.lock().unwrap();
    assert!(!commands.iter().any(|command| command.starts_with("AUTH") || command.starts_with("MAIL")), "{commands:?}");
}

/// An authority of the test's own: its certificate as PEM, and what serves with one that it signed for this name.
fn authority(name: &str) -> (String, TlsAcceptor) {
    // A provider that is already there is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let signed = CertificateParams::new([name.to_owned()]).unwrap();
    let signed = signed.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![signed.der().clone()], key).unwrap();
    (pem, TlsAcceptor::from(Arc::new(config)))
}

#[tokio::test]
async fn letters_go_through_tls_to_whom_an_authority_vouches_for_alone() {
    let (pem, tls) = authority("localhost");
    let (strangers_pem, _) = authority("localhost");
    for (mode, protects) in [
        (SmtpTls::Implicit, Protects::FromTheFirstByte(tls.clone())),
        (SmtpTls::Required, Protects::ByStartTls(tls.clone())),
        (SmtpTls::Opportunistic, Protects::ByStartTls(tls)),
    ] {
        let (port, seen) = protected_server(Does::Accept, protects).await;
        let send = async |host: &str, authorities: Option<&str>| {
            let config = SmtpConfig { tls: mode, host: host.to_owned(), ..config(port) };
            let smtp = Smtp::new(&config, &service(), authorities.map(str::as_bytes), Dns::of_the_system()).unwrap();
            smtp.send(&message("alice@mail.test", "Hi")).await
        };
        // Signed by nobody public, by somebody else, and for another name.
        for (host, authorities) in
            [("localhost", None), ("localhost", Some(strangers_pem.as_str())), ("127.0.0.1", Some(pem.as_str()))]
        {
            let error = send(host, authorities).await.unwrap_err();
            assert!(matches!(error, TransportError::Passing(_)), "{mode:?}: {error}");
        }
        assert!(seen.letters.lock().unwrap().is_empty());
        send("localhost", Some(&format!("{strangers_pem}{pem}"))).await.unwrap();
        assert_eq!(seen.letters.lock().unwrap().len(), 1, "{mode:?}");
        let commands = seen.commands.lock().unwrap();
        assert!(!commands.iter().any(|command| command.starts_with("in clear: AUTH")), "{commands:?}");
        assert!(commands.iter().any(|command| command.starts_with("AUTH PLAIN")), "{commands:?}");
    }
}

#[test]
fn a_file_without_authorities_is_refused() {
    for pem in ["", "nonsense", "-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n"] {
        let refused = Smtp::new(&config(1), &service(), Some(pem.as_bytes()), Dns::of_the_system());
        assert!(matches!(refused.err(), Some(SmtpError::Authorities)), "{pem}");
    }
}

#[tokio::test]
async fn line_breaks_bring_no_headers_and_no_commands() {
    let (port, seen) = server(Does::Accept).await;
    let smtp = smtp(port);
    for (to, subject) in [
        ("alice@mail.test\r\nRCPT TO:<bob@mail.test>", "Hi"),
        ("alice@mail.test>\r\nDATA", "Hi"),
        ("alice@mail.test\nBcc: bob@mail.test", "Hi"),
        ("alice@mail.test", "Hi\r\nBcc: bob@mail.test"),
        ("alice@mail.test", "Hi\nBcc: bob@mail.test"),
    ] {
        let error = smtp.send(&message(to, subject)).await.unwrap_err();
        assert!(matches!(error, TransportError::Lasting(_)), "{error}");
    }
    assert!(seen.commands.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_mail_server_that_hangs_holds_no_request_up_and_the_letter_is_put_off() {
    let (port, seen) = server(Does::Hang).await;
    let pds = TestPds::options().mail_transport(Arc::new(smtp(port))).start().await;
    let alice = pds.account("alice").await;
    let account = pds.app().accounts.by_did(&alice.did).await.unwrap().unwrap();
    pds.app().mail.send_code(&account, Purpose::ConfirmEmail).await.unwrap();
    while seen.commands.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    pds.account("bob").await;
    pds.advance(std::time::Duration::from_mins(1));
    pds.deliver_mail().await;
    let status = pds.app().mail.status().await.unwrap();
    assert_eq!(status.outbox.waiting, 1);
    assert!(status.last_error.unwrap().1.contains("no answer within"));
}

#[tokio::test]
async fn a_letter_goes_out_once_the_mail_server_is_back() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let pds = TestPds::options().mail_transport(Arc::new(smtp(port))).start().await;
    let alice = pds.account("alice").await;
    let account = pds.app().accounts.by_did(&alice.did).await.unwrap().unwrap();
    pds.app().mail.send_code(&account, Purpose::ConfirmEmail).await.unwrap();
    pds.deliver_mail().await;
    let status = pds.app().mail.status().await.unwrap();
    assert_eq!((status.outbox.waiting, status.outbox.tried), (1, 1));
    let listener = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let seen = Seen::default();
    let to_tell = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = talk(stream, Does::Accept, to_tell.clone()).await;
        }
    });
    pds.advance(std::time::Duration::from_secs(5));
    pds.deliver_mail().await;
    assert_eq!(seen.letters.lock().unwrap().len(), 1);
    assert!(seen.letters.lock().unwrap()[0].contains("To: alice@mail.test"));
    assert_eq!(pds.app().mail.status().await.unwrap().outbox.waiting, 0);
}
