//! `allod mail`, with a server and without, and with a mail server of the test's own.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    sync::mpsc::{Receiver, channel},
    thread,
};

use crate::process::Allod;

/// A mail server that takes every letter, or refuses every recipient.
fn mail_server(takes: bool) -> (u16, Receiver<String>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let (letters, taken) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut answer = "220 mail.test";
            let mut letter: Option<String> = None;
            loop {
                if letter.is_none() {
                    stream.get_mut().write_all(format!("{answer}\r\n").as_bytes()).unwrap();
                }
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
                if let Some(text) = &mut letter {
                    if line != ".\r\n" {
                        text.push_str(&line);
                        continue;
                    }
                    letters.send(letter.take().unwrap()).unwrap();
                }
                if line.starts_with("DATA") {
                    stream.get_mut().write_all(b"354 go ahead\r\n").unwrap();
                    letter = Some(String::new());
                }
                answer = if line.starts_with("RCPT") && !takes { "550 no such mailbox" } else { "250 ok" };
            }
        }
    });
    (port, taken)
}

fn environment(url: &str) -> Vec<(&str, &str)> {
    let mut environment = vec![
        ("PDS_HOSTNAME", "pds.example.com"),
        ("PDS_PORT", "0"),
        ("PDS_DATA_DIRECTORY", "pds"),
        ("PDS_ADMIN_PASSWORD", "admin"),
        ("PDS_JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        (
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
            "1111111111111111111111111111111111111111111111111111111111111111",
        ),
        ("ALLOD_BIND_ADDRESS", "127.0.0.1"),
    ];
    if !url.is_empty() {
        environment.extend([("PDS_EMAIL_SMTP_URL", url), ("PDS_EMAIL_FROM_ADDRESS", "noreply@pds.example.com")]);
    }
    environment
}

#[test]
fn a_test_letter_gets_through_with_a_server_and_without() {
    let (port, taken) = mail_server(true);
    let url = format!("smtp://127.0.0.1:{port}?tls=none");
    let environment = environment(&url);
    let allod = Allod::new();
    let mut server = allod.start(&["serve"], &environment);
    server.wait_for("address=");
    let status = allod.run_with(&["mail", "status", "--json"], &environment).json();
    assert_eq!((&status["letters_are"], &status["waiting"]), (&"sent".into(), &0.into()));
    let told = allod.run_with(&["mail", "test", "jo@example.com"], &environment).ok();
    assert!(told.contains("the mail server accepted an e-mail to jo@example.com"), "{told}");
    let letter = taken.recv().unwrap();
    assert!(letter.contains("To: jo@example.com") && letter.contains("Subject: Test letter from"), "{letter}");
    let status = allod.run_with(&["mail", "status", "--json"], &environment).json();
    assert!(status["last_sent_at"].is_string(), "{status}");
    assert_eq!(server.interrupt(), 0);
    allod.run_with(&["mail", "test", "jo@example.com"], &environment).ok();
    assert!(taken.recv().unwrap().contains("To: jo@example.com"));
    let status = allod.run_with(&["mail", "status"], &environment).ok();
    assert!(status.contains("delivery") && status.contains("sent"), "{status}");
}

#[test]
fn what_the_mail_server_says_is_told() {
    let (port, _taken) = mail_server(false);
    let url = format!("smtp://127.0.0.1:{port}?tls=none");
    let environment = environment(&url);
    let allod = Allod::new();
    let mut server = allod.start(&["serve"], &environment);
    server.wait_for("address=");
    let refused = allod.run_with(&["mail", "test", "jo@example.com"], &environment);
    assert!(refused.code == 1 && refused.stderr.contains("no such mailbox"), "{}", refused.stderr);
    let refused = allod.run_with(&["mail", "test", "jo@example.com\r\nBcc: x@example.com"], &environment);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    let status = allod.run_with(&["mail", "status", "--json"], &environment).json();
    assert!(status["last_error"].as_str().unwrap().contains("no such mailbox"), "{status}");
    assert_eq!(server.interrupt(), 0);
}

#[test]
fn a_letter_goes_out_by_sendmail_and_one_that_hangs_holds_nothing_up() {
    use std::os::unix::fs::PermissionsExt;

    let allod = Allod::new();
    let command = allod.path("sendmail");
    std::fs::write(&command, "#!/bin/sh\necho \"$@\" > arguments\nexec cat > letter\n").unwrap();
    std::fs::set_permissions(&command, std::fs::Permissions::from_mode(0o755)).unwrap();
    let url = format!("smtp:///?sendmail=true&path={}", command.display());
    let path = std::env::var_os("PATH").unwrap().into_string().unwrap();
    let mut environment = environment(&url);
    environment.push(("PATH", &path));
    let mut server = allod.start(&["serve"], &environment);
    server.wait_for("address=");
    let told = allod.run_with(&["mail", "test", "jo@example.com"], &environment).ok();
    assert!(told.contains("accepted an e-mail to jo@example.com"), "{told}");
    let arguments = std::fs::read_to_string(allod.path("arguments")).unwrap();
    assert_eq!(arguments, "-i -f noreply@pds.example.com -- jo@example.com\n");
    let letter = std::fs::read_to_string(allod.path("letter")).unwrap();
    assert!(letter.contains("To: jo@example.com") && letter.contains("Subject: Test letter from"), "{letter}");

    std::fs::write(&command, "#!/bin/sh\necho no queue >&2\nexit 75\n").unwrap();
    let refused = allod.run_with(&["mail", "test", "jo@example.com"], &environment);
    assert!(refused.code == 1 && refused.stderr.contains("no queue"), "{}", refused.stderr);
    std::fs::write(&command, "#!/bin/sh\necho $$ > hanging\nexec sleep 600\n").unwrap();
    let hanging = allod.start(&["mail", "test", "jo@example.com"], &environment);
    while !allod.path("hanging").exists() {
        thread::yield_now();
    }
    let status = allod.run_with(&["mail", "status", "--json"], &environment).json();
    assert_eq!(status["letters_are"], "sent");
    assert_eq!(server.interrupt(), 0);
    drop(hanging);
}

#[test]
fn a_server_without_a_mail_server_says_so() {
    let environment = environment("");
    let allod = Allod::new();
    let mut server = allod.start(&["serve"], &environment);
    server.wait_for("no mail server is configured");
    server.wait_for("address=");
    let refused = allod.run_with(&["mail", "test", "jo@example.com"], &environment);
    assert!(refused.code == 1 && refused.stderr.contains("no mail server is configured"), "{}", refused.stderr);
    let status = allod.run_with(&["mail", "status", "--json"], &environment).json();
    assert_eq!(status["letters_are"], "kept back");
    assert_eq!(server.interrupt(), 0);
}

#[test]
fn authorities_that_are_not_there_are_told_at_the_start() {
    let allod = Allod::new();
    std::fs::write(allod.path("empty.pem"), "").unwrap();
    std::fs::write(allod.path("large.pem"), vec![b'x'; 1024 * 1024 + 1]).unwrap();
    for (file, complaint) in [
        ("missing.pem", "email_smtp_ca_file: can't read missing.pem"),
        ("large.pem", "the file has more than 1048576 bytes"),
        ("empty.pem", "empty.pem: the file of certificate authorities holds no PEM certificate"),
    ] {
        let mut environment = environment("smtps://mail.example.com:465");
        environment.push(("ALLOD_EMAIL_SMTP_CA_FILE", file));
        let refused = allod.run_with(&["serve"], &environment);
        assert!(refused.code == 1 && refused.stderr.contains(complaint), "{}", refused.stderr);
    }
}

#[test]
fn a_list_of_throw_away_domains_that_cannot_be_read_is_told_at_the_start() {
    let allod = Allod::new();
    std::fs::write(allod.path("odd.txt"), "spam.example\nno domain\n").unwrap();
    for (file, complaint) in [
        ("missing.txt", "disposable_email_domains_file: can't read missing.txt"),
        ("odd.txt", "line 2: \"no domain\" is not a domain name"),
    ] {
        let mut environment = environment("");
        environment.push(("ALLOD_DISPOSABLE_EMAIL_DOMAINS_FILE", file));
        let refused = allod.run_with(&["serve"], &environment);
        assert!(refused.code == 1 && refused.stderr.contains(complaint), "{}", refused.stderr);
    }
}
