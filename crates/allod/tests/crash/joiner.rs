//! People who sign up while the server is killed: whoever is answered has an account, whoever is not gets one by asking
//! again, and no DID is left without an account.

use std::{collections::HashSet, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::Account;

/// How often a sign-up that was cut off is asked for again, and how long is waited in between: what nobody can tell
/// apart from somebody else's is freed after half a minute.
const TRIES_MAX: usize = 600;
const PAUSE: Duration = Duration::from_millis(200);

pub(crate) struct Joiner {
    number: u64,
    under_way: Option<(Value, JoinHandle<Option<Value>>)>,
    dids: HashSet<String>,
    http: reqwest::Client,
}

impl Joiner {
    pub(crate) fn new(http: reqwest::Client) -> Self {
        Self { number: 0, under_way: None, dids: HashSet::new(), http }
    }

    pub(crate) fn joined(&self) -> usize {
        self.dids.len()
    }

    /// Begins a sign-up.
    pub(crate) fn begin(&mut self, origin: &str) {
        self.number += 1;
        let handle = format!("joiner{}.test", self.number);
        let body = json!({ "handle": handle, "email": format!("{handle}@mail.test"), "password": "correct-horse" });
        let (http, origin, sent) = (self.http.clone(), origin.to_owned(), body.clone());
        let call = tokio::spawn(async move {
            let (status, answer) = create(&http, &origin, &sent).await?;
            assert!(status == 200 || status == 503, "{answer}");
            (status == 200).then_some(answer)
        });
        self.under_way = Some((body, call));
    }

    /// Sees that whoever began to sign up has an account in the end.
    pub(crate) async fn settle(&mut self, origin: &str, told: &str) {
        let Some((body, call)) = self.under_way.take() else { return };
        let answered = call.await.unwrap();
        let acknowledged = answered.is_some();
        let answer = match answered {
            Some(answer) => answer,
            None => self.ask_again(origin, &body, told).await,
        };
        let did = answer["did"].as_str().unwrap().to_owned();
        let session = self.sign_in(origin, &body).await;
        let session = session.unwrap_or_else(|| panic!("{told}: {} can't sign in ({acknowledged})", body["handle"]));
        assert_eq!(session["did"], did.as_str(), "{told}");
        self.dids.insert(did);
    }

    /// Signs in with what was signed up with; none when that is refused.
    async fn sign_in(&self, origin: &str, body: &Value) -> Option<Value> {
        let login = json!({ "identifier": body["handle"], "password": body["password"] });
        let url = format!("{origin}/xrpc/com.atproto.server.createSession");
        let response = self.http.post(url).json(&login).send().await.unwrap();
        (response.status() == 200).then_some(serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    async fn ask_again(&self, origin: &str, body: &Value, told: &str) -> Value {
        let mut last = Value::Null;
        for _ in 0..TRIES_MAX {
            let (status, answer) = create(&self.http, origin, body).await.unwrap();
            if status == 200 {
                return answer;
            }
            let may_wait = status == 503 || answer["error"] == "HandleNotAvailable";
            assert!(may_wait, "{told}: {answer}");
            // A sign-up is answered once. Where the kill came between that and the client, the account is there.
            if let Some(session) = self.sign_in(origin, body).await {
                return session;
            }
            last = answer;
            tokio::time::sleep(PAUSE).await;
        }
        panic!("{told}: {} never gets an account: {last}", body["handle"]);
    }

    /// Checks that every DID that the directory has is an account's.
    pub(crate) async fn check_directory(&self, directory: &str, accounts: &[Arc<Account>]) {
        let mut after = String::new();
        let mut registered = HashSet::new();
        loop {
            let url = format!("{directory}/export?count=1000&after={after}");
            let text = self.http.get(url).send().await.unwrap().text().await.unwrap();
            let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            let before = registered.len();
            registered.extend(lines.iter().map(|line| line["did"].as_str().unwrap().to_owned()));
            match lines.last() {
                Some(last) if registered.len() > before => last["createdAt"].as_str().unwrap().clone_into(&mut after),
                _ => break,
            }
        }
        let writers = accounts.iter().map(|account| account.did.to_string());
        let expected: HashSet<String> = self.dids.iter().cloned().chain(writers).collect();
        let differ: Vec<&String> = registered.symmetric_difference(&expected).collect();
        assert!(differ.is_empty(), "at the directory without an account, or the other way round: {differ:?}");
    }
}

async fn create(http: &reqwest::Client, origin: &str, body: &Value) -> Option<(u16, Value)> {
    let url = format!("{origin}/xrpc/com.atproto.server.createAccount");
    let response = http.post(url).json(body).send().await.ok()?;
    let status = response.status().as_u16();
    let text = response.text().await.ok()?;
    Some((status, serde_json::from_str(&text).unwrap()))
}
