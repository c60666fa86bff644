//! Accounts for a load, and the records it reads.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::BenchError;
use super::request::{COLLECTION, Request};
use super::subject::Subject;
use crate::http::{self, Answer, Connection};

/// How many sign up at once.
const CLIENTS: usize = 4;
/// How many records one request creates when a repository is filled.
pub(super) const FILL_WRITES: usize = 200;
/// The longest page of records.
const PAGE_RECORDS: usize = 100;

/// An account with a session.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) did: String,
    pub(super) token: String,
}

/// Signs accounts up.
pub(super) fn sign_up(subject: &Subject, accounts: usize) -> Result<Vec<Account>, BenchError> {
    let description = Connection::open(&subject.url)?.get("/xrpc/com.atproto.server.describeServer")?;
    let description = accepted(&description)?;
    let domain = description.pointer("/availableUserDomains/0").and_then(Value::as_str).unwrap_or(".test");
    let (label, next) = (super::label(), AtomicUsize::new(0));
    let (label, next) = (&label, &next);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(move || {
                    let (mut connection, mut made) = (Connection::open(&subject.url)?, Vec::new());
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= accounts {
                            return Ok(made);
                        }
                        let name = format!("b{label}n{number}");
                        let body = json!({
                            "handle": format!("{name}{domain}"),
                            "email": format!("{name}@mail.com"),
                            "password": "correct horse battery",
                        });
                        let answer = connection.post("/xrpc/com.atproto.server.createAccount", "", &body)?;
                        let answer = accepted(&answer)?;
                        let field =
                            |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                        made.push(Account { did: field("did"), token: field("accessJwt") });
                    }
                })
            })
            .collect();
        let joined =
            clients.into_iter().map(|client| client.join().unwrap_or(Err(BenchError::Usage("a client panicked"))));
        Ok(joined.collect::<Result<Vec<_>, _>>()?.concat())
    })
}

/// Creates so many records in an account's repository.
pub(super) fn fill(subject: &Subject, account: &Account, records: usize) -> Result<(), BenchError> {
    let authority = http::authority(&subject.url)?;
    let mut connection = Connection::open(&subject.url)?;
    let (mut made, mut buffer) = (0, Vec::new());
    while made < records {
        let writes = FILL_WRITES.min(records - made);
        let request = Request::apply_writes(&authority, &account.did, &account.token, writes);
        request.write((made / FILL_WRITES) as u64, &mut buffer);
        accepted(&connection.keep(&buffer)?)?;
        made += writes;
    }
    Ok(())
}

/// Lists the keys of up to so many records of an account.
pub(super) fn keys(subject: &Subject, account: &Account, limit: usize) -> Result<Vec<String>, BenchError> {
    let mut connection = Connection::open(&subject.url)?;
    let (mut keys, mut cursor) = (Vec::new(), String::new());
    loop {
        let did = &account.did;
        let path = "/xrpc/com.atproto.repo.listRecords";
        let path = format!("{path}?repo={did}&collection={COLLECTION}&limit={PAGE_RECORDS}{cursor}");
        let page = accepted(&connection.get(&path)?)?;
        let records = page.get("records").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let uris = records.iter().filter_map(|record| record.get("uri")?.as_str());
        keys.extend(uris.filter_map(|uri| uri.rsplit('/').next()).map(str::to_owned));
        match page.get("cursor").and_then(Value::as_str) {
            Some(next) if keys.len() < limit && !records.is_empty() => cursor = format!("&cursor={next}"),
            _ => return Ok(keys),
        }
    }
}

/// Takes the JSON out of an answer with 200.
pub(super) fn accepted(answer: &Answer) -> Result<Value, BenchError> {
    match answer.status {
        200 => Ok(answer.json()),
        status => Err(BenchError::Refused { status, body: answer.json().to_string() }),
    }
}
