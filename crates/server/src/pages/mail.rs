//! `/dev/mail`: the mail that dev mode captured, newest first, as a page or with `?format=json`.

use allod_base::clock;
use allod_http::body::ResponseBody;
use askama::Template;
use http::{HeaderValue, Response, StatusCode, header::CONTENT_SECURITY_POLICY};
use serde_json::json;
use url::form_urlencoded;

use crate::{
    domain::{
        html,
        mail::{Mailbox, Message},
    },
    reply,
};

/// Shows the mailbox.
pub(super) fn show(mailbox: &Mailbox, query: Option<&str>) -> Response<ResponseBody> {
    let messages = mailbox.messages();
    let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
    if pairs.any(|(key, value)| key == "format" && value == "json") {
        return reply::bytes(StatusCode::OK, reply::JSON, json(&messages));
    }
    let mut response = reply::bytes(StatusCode::OK, reply::HTML, page(&messages));
    let policy = HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'");
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn json(messages: &[Message]) -> String {
    let messages: Vec<_> = messages
        .iter()
        .rev()
        .map(|m| json!({ "to": m.to, "subject": m.subject, "text": m.text, "html": m.html, "time": clock::datetime(m.time_micros) }))
        .collect();
    json!({ "messages": messages }).to_string()
}

/// The page that shows captured mail.
#[derive(Template)]
#[template(path = "captured_mail.html")]
struct Page<'a> {
    letters: Vec<Captured<'a>>,
}

struct Captured<'a> {
    message: &'a Message,
    time: String,
}

fn page(messages: &[Message]) -> String {
    let time = |message: &Message| clock::datetime(message.time_micros);
    let letters = messages.iter().rev().map(|message| Captured { message, time: time(message) }).collect();
    html::render(&Page { letters })
}

#[cfg(test)]
mod tests {
    use allod_atproto::json::{Limits, parse};

    use super::*;

    fn mailbox() -> Mailbox {
        let mailbox = Mailbox::default();
        for subject in ["first", "<script>alert('x')</script>"] {
            mailbox.deliver(Message {
                to: "alice@example.com".to_owned(),
                subject: subject.to_owned(),
                text: "\"a\" & b".to_owned(),
                html: String::new(),
                id: String::new(),
                time_micros: 1_700_000_000_000_000,
            });
        }
        mailbox
    }

    #[test]
    fn a_message_can_not_bring_markup() {
        let page = page(&mailbox().messages());
        assert!(!page.contains("<script"));
        assert!(page.contains("&lt;script&gt;alert(&#39;x&#39;)") && page.contains("&quot;a&quot; &amp; b"));
    }

    #[test]
    fn programs_get_json_newest_first() {
        let value = parse(json(&mailbox().messages()).as_bytes(), &Limits::OWN).unwrap();
        assert_eq!(value["messages"][1]["subject"], "first");
        assert_eq!(value["messages"][0]["time"], "2023-11-14T22:13:20.000Z");
    }
}
