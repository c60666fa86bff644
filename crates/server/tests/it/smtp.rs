//! Mail over SMTP, against a small server of the test's own.

use std::sync::{Arc, Mutex};

use allod_server::{
    config::ServiceConfig,
    domain::{
        email_codes::{self, Purpose},
        mail::{self, Message, Transport, TransportError},
        secret::Secret,
    },
    smtp::{Smtp, SmtpConfig, SmtpTls},
};
use allod_testkit::TestPds;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};

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

/// A mail server that does always the same.
async fn server(does: Does) -> (u16, Seen) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let seen = Seen::default();
    let to_tell = seen.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let seen = to_tell.clone();
            tokio::spawn(async move {
                // A client that goes away ends the talk.
                let _ = talk(stream, does, seen).await;
            });
        }
    });
    (port, seen)
}

async fn talk(stream: TcpStream, does: Does, seen: Seen) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    if does == Does::Hang {
        seen.commands.lock().unwrap().push("connected".to_owned());
        std::future::pending::<()>().await;
    }
    stream.write_all(b"220 mail.test\r\n").await?;
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
    }
}

fn smtp(port: u16) -> Smtp {
    Smtp::new(&config(port), &service()).unwrap()
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
    let smtp = Smtp::new(&SmtpConfig { tls: SmtpTls::Required, ..config(port) }, &service()).unwrap();
    let error = smtp.send(&message("alice@mail.test", "Hi")).await.unwrap_err();
    assert!(matches!(error, TransportError::Passing(_)), "{error}");
    let commands = seen.commands.lock().unwrap();
    assert!(!commands.iter().any(|command| command.starts_with("AUTH") || command.starts_with("MAIL")), "{commands:?}");
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
    let account = allod_server::domain::accounts::by_did(pds.app(), &alice.did).await.unwrap().unwrap();
    email_codes::send(pds.app(), &account, Purpose::ConfirmEmail).await.unwrap();
    while seen.commands.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    pds.account("bob").await;
    pds.advance(std::time::Duration::from_mins(1));
    pds.deliver_mail().await;
    let status = mail::status(pds.app()).await.unwrap();
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
    let account = allod_server::domain::accounts::by_did(pds.app(), &alice.did).await.unwrap().unwrap();
    email_codes::send(pds.app(), &account, Purpose::ConfirmEmail).await.unwrap();
    pds.deliver_mail().await;
    let status = mail::status(pds.app()).await.unwrap();
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
    assert_eq!(mail::status(pds.app()).await.unwrap().outbox.waiting, 0);
}
