//! What letters say, as plain text and as HTML. The templates escape whatever comes from elsewhere.

use askama::Template;

use super::{Content, Message};
use crate::{
    config::ServiceConfig,
    domain::{
        email_codes::{CODE_SECS, Purpose},
        html,
    },
};

/// The longest subject line sent, in characters.
const SUBJECT_CHARS_MAX: usize = 200;

/// A paragraph of a letter. It has no control characters.
enum Part {
    Words(String),
    Code(String),
}

/// A letter as plain text.
#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct PlainText<'a> {
    parts: &'a [Part],
    name: &'a str,
    url: &'a str,
}

/// The same letter as HTML.
#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    subject: &'a str,
    parts: &'a [Part],
    name: &'a str,
    url: &'a str,
}

/// What an operator wrote as plain text, as HTML.
#[derive(Template)]
#[template(path = "mail/from_operator.html")]
struct FromOperator {
    lines: Vec<String>,
}

/// Writes a letter.
pub(super) fn message(
    service: &ServiceConfig,
    letter_id: &[u8],
    to: String,
    content: &Content,
    time_micros: u64,
) -> Message {
    let id = data_encoding::HEXLOWER.encode(letter_id);
    if let Content::FromOperator { subject, body } = content {
        let text = if body.contains('<') { without_tags(body) } else { body.clone() };
        let html = if body.contains('<') {
            body.clone()
        } else {
            html::render(&FromOperator { lines: body.lines().map(one_line).collect() })
        };
        return Message { id, to, subject: subject_line(subject), text, html, time_micros };
    }
    let (subject, parts) = parts(service, content);
    let (name, url) = (&one_line(&service.name), &service.public_url);
    Message {
        id,
        to,
        subject: subject_line(subject),
        text: html::render(&PlainText { parts: &parts, name, url }),
        html: html::render(&Html { subject, parts: &parts, name, url }),
        time_micros,
    }
}

fn parts(service: &ServiceConfig, content: &Content) -> (&'static str, Vec<Part>) {
    let name = &service.name;
    let words = |text: String| Part::Words(one_line(&text));
    match content {
        Content::Code { purpose, handle, code } => {
            let (subject, why, if_not) = asked(*purpose);
            let minutes = CODE_SECS / 60;
            let parts = vec![
                words(format!("Hello @{handle},")),
                words(format!("{why} Your code at {name} is:")),
                Part::Code(code.expose().clone()),
                words(format!("It can be used once, within {minutes} minutes. Give it to nobody.")),
                words(if_not.to_owned()),
            ];
            (subject, parts)
        }
        Content::PasswordChanged { handle } => {
            let parts = vec![
                words(format!("Hello @{handle},")),
                words(format!("the password of your account at {name} was changed, and all its sign-ins were ended.")),
                words(
                    "If that was not you, ask for a new password at once and change the password of your mailbox."
                        .to_owned(),
                ),
            ];
            ("Password Changed", parts)
        }
        Content::EmailChanged { handle } => {
            let contact = match &service.contact_email {
                Some(contact) => format!("If that was not you, write to {contact} at once."),
                None => "If that was not you, write to the operator of the server at once.".to_owned(),
            };
            let parts = vec![
                words(format!("Hello @{handle},")),
                words(format!(
                    "your account at {name} has another e-mail address now; this one no longer belongs to it."
                )),
                words(contact),
            ];
            ("Email Changed", parts)
        }
        Content::SignedIn { handle, address, time, app_password } => {
            let with = match app_password {
                Some(name) => format!("with the app password \u{201c}{name}\u{201d}"),
                None => "with its password".to_owned(),
            };
            let parts = vec![
                words(format!("Hello @{handle},")),
                words(format!(
                    "somebody signed in to your account at {name} {with}, from a network that it was never signed in \
                     from before: {address}, {time}."
                )),
                words("If that was you, there is nothing to do. If not, change your password at once.".to_owned()),
            ];
            ("New Sign-in", parts)
        }
        Content::LetIn { handle } => {
            let parts = vec![
                words(format!("Hello @{handle},")),
                words(format!("your account at {name} has been let in. Open your app again, or sign in, to use it.")),
            ];
            ("Your Account Is Ready", parts)
        }
        Content::FromOperator { .. } => ("", Vec::new()),
    }
}

/// Subject, reason, and what to do if nobody asked.
fn asked(purpose: Purpose) -> (&'static str, &'static str, &'static str) {
    const IGNORE: &str = "If you did not ask for it, ignore this letter.";
    const CHANGE_PASSWORD: &str =
        "If you did not ask for it, somebody else is signed in to your account: change your password.";
    match purpose {
        Purpose::ConfirmEmail => {
            ("Email Confirmation", "to confirm that this is your address, enter the code below.", IGNORE)
        }
        Purpose::UpdateEmail => (
            "Email Update Requested",
            "to give your account another e-mail address, enter the code below.",
            CHANGE_PASSWORD,
        ),
        Purpose::ResetPassword => {
            ("Password Reset Requested", "to choose a new password, enter the code below.", IGNORE)
        }
        Purpose::DeleteAccount => (
            "Account Deletion Requested",
            "to delete your account for ever, with all that is in it, enter the code below.",
            CHANGE_PASSWORD,
        ),
        Purpose::PlcOperation => (
            "PLC Update Operation Requested",
            "to have a change of your identity signed, such as a move to another server, enter the code below. \
             Whoever has it can take over your identity.",
            CHANGE_PASSWORD,
        ),
        Purpose::SignIn => (
            "Sign-in Code",
            "to sign in, enter the code below.",
            "If you are not signing in, somebody else knows your password: change it.",
        ),
    }
}

/// A line of a header: no control characters, and not without end.
fn subject_line(subject: &str) -> String {
    one_line(subject).chars().take(SUBJECT_CHARS_MAX).collect()
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The words of an HTML text, for those who read no HTML.
fn without_tags(html: &str) -> String {
    let mut text = String::with_capacity(html.len());
    let mut is_in_tag = false;
    for c in html.chars() {
        match c {
            '<' => is_in_tag = true,
            '>' if is_in_tag => {
                is_in_tag = false;
                text.push(' ');
            }
            _ if !is_in_tag => text.push(c),
            _ => {}
        }
    }
    text.split('\n').map(str::trim).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use allod_atproto::{Did, Handle};
    use allod_base::secret::Secret;

    use super::*;

    fn service() -> ServiceConfig {
        ServiceConfig {
            hostname: "pds.example".to_owned(),
            public_url: "https://pds.example".to_owned(),
            did: Did::parse("did:web:pds.example").unwrap(),
            name: "Jo's <b>PDS</b>\r\nBcc: all@example.com".to_owned(),
            version: "1".to_owned(),
            contact_email: None,
            privacy_policy_url: None,
            terms_of_service_url: None,
        }
    }

    fn written(content: &Content) -> Message {
        message(&service(), &[7; 16], "alice@example.com".to_owned(), content, 0)
    }

    #[test]
    fn every_code_letter_has_the_code_and_no_markup_of_others() {
        for purpose in Purpose::ALL {
            let handle = Handle::parse("alice.example").unwrap();
            let code = Secret::new("ABCDE-FGHIJ".to_owned());
            let letter = written(&Content::Code { purpose, handle, code });
            assert!(letter.text.contains("    ABCDE-FGHIJ\n") && letter.html.contains("ABCDE-FGHIJ"));
            assert!(letter.text.contains("@alice.example") && letter.html.contains("@alice.example"));
            assert!(!letter.html.contains("<b>PDS") && letter.html.contains("Jo&#39;s &lt;b&gt;PDS"));
            assert!(!letter.text.contains('\r') && !letter.subject.is_empty());
        }
    }

    #[test]
    fn a_letter_is_laid_out_in_paragraphs() {
        let content = Content::Code {
            purpose: Purpose::SignIn,
            handle: Handle::parse("alice.example").unwrap(),
            code: Secret::new("ABCDE-FGHIJ".to_owned()),
        };
        let letter = written(&content);
        let name = "Jo's <b>PDS</b>  Bcc: all@example.com";
        let text = format!(
            "Hello @alice.example,\n\nto sign in, enter the code below. Your code at {name} is:\n\n    ABCDE-FGHIJ\n\n\
             It can be used once, within {} minutes. Give it to nobody.\n\n\
             If you are not signing in, somebody else knows your password: change it.\n\n\
             -- \n{name}\nhttps://pds.example\n",
            CODE_SECS / 60
        );
        assert_eq!(letter.text, text);
        let link = "<br><a href=\"https://pds.example\">https://pds.example</a></p>\n</body>\n</html>";
        assert!(letter.html.starts_with("<!doctype html>\n<html lang=\"en\">\n<head>"), "{}", letter.html);
        assert!(letter.html.contains("\n<p>Hello @alice.example,</p>\n<p>to sign in"), "{}", letter.html);
        assert!(letter.html.ends_with(link), "{}", letter.html);
    }

    #[test]
    fn a_subject_is_one_line() {
        let content =
            Content::FromOperator { subject: "Hi\r\nBcc: x@example.com".to_owned(), body: "a\n<b>".to_owned() };
        let letter = written(&content);
        assert_eq!(letter.subject, "Hi  Bcc: x@example.com");
    }

    #[test]
    fn what_the_operator_writes_comes_in_both_forms() {
        let of = |body: &str| written(&Content::FromOperator { subject: "s".to_owned(), body: body.to_owned() });
        let html = of("<p>Hello <b>you</b></p>");
        assert_eq!((html.text.as_str(), html.html.as_str()), ("Hello  you", "<p>Hello <b>you</b></p>"));
        let plain = of("a & b\nc");
        assert_eq!((plain.text.as_str(), plain.html.as_str()), ("a & b\nc", "<p>a &amp; b<br>c</p>"));
    }
}
