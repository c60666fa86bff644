//! Every method's answer is bounded in bytes.

use allod_atproto::Did;
use allod_server::{
    domain::invites::ENTRIES_PER_ANSWER_MAX,
    limits::{LIST_ANSWER_BYTES_MAX, RECORD_PAGE_BYTES_MAX},
    xrpc,
};
use allod_store::{
    Txn,
    tables::invites::{self, InviteCode},
};
use allod_testkit::{TestPds, read_json};
use serde_json::{Value, json};

/// What bounds an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    /// It has a fixed number of short fields.
    Short,
    /// It is one thing that is bounded where it is written: a record, a DID document, preferences.
    One,
    /// A page with so few rows that they are short.
    Rows,
    /// A page that ends early when its rows come to too many bytes.
    Bytes,
    /// It is sent piece by piece as the client takes it.
    Stream,
    /// It has no body.
    Nothing,
}

impl Bound {
    /// Whether an answer of this form can be bounded like this.
    fn suits(self, form: Form) -> bool {
        match form {
            Form::Empty => self == Nothing,
            Form::File => self == Stream,
            Form::List => matches!(self, Rows | Bytes),
            Form::Open => self == One,
            Form::Fields => matches!(self, Short | One),
        }
    }
}

/// What a method's lexicon says of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// There is none.
    Empty,
    /// A file, or messages without an end.
    File,
    /// JSON with any number of objects in it, or of strings beside a cursor.
    List,
    /// JSON with a value of any form in it, and no list.
    Open,
    /// JSON with fields that are all named.
    Fields,
}

impl Form {
    fn of(nsid: &str) -> Self {
        let main = definition(nsid, "#main");
        if main["type"] == "subscription" {
            return Self::File;
        }
        let output = &main["output"];
        match output["encoding"].as_str() {
            None => return Self::Empty,
            Some("application/json") => {}
            Some(_) => return Self::File,
        }
        let schema = match output["schema"]["ref"].as_str() {
            Some(reference) => definition(nsid, reference),
            None => output["schema"].clone(),
        };
        let no_fields = serde_json::Map::new();
        let fields = schema["properties"].as_object().unwrap_or(&no_fields);
        let has_list = |field: &Value| {
            field["type"] == "array" && (field["items"]["type"] != "string" || fields.contains_key("cursor"))
        };
        if fields.values().any(has_list) {
            Self::List
        } else if fields.values().any(|field| field["type"] == "unknown") {
            Self::Open
        } else {
            Self::Fields
        }
    }
}

/// The definition that a reference in a lexicon names.
fn definition(nsid: &str, reference: &str) -> Value {
    let (named, name) = reference.split_once('#').unwrap_or((reference, "main"));
    let nsid = if named.is_empty() { nsid } else { named };
    let file = format!("{}.json", nsid.replace('.', "/"));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../lexicons");
    let read = |folder: String| std::fs::read(format!("{folder}/{file}"));
    let text = read(folder.to_owned()).or_else(|_| read(format!("{folder}/legacy"))).unwrap();
    read_json(text)["defs"][name].clone()
}

/// Answers that are bounded in another way than their lexicon makes one expect, and why.
const EXCEPTIONS: &[(&str, Form, Bound, &str)] = &[
    ("com.atproto.account.get", Form::Empty, One, "the lexicon forgot the answer, a session's account"),
    ("com.atproto.repo.describeRepo", Form::Open, Bytes, "the collections are cut off"),
    ("com.atproto.sync.getRecord", Form::File, One, "a record and the nodes that lead to it"),
];

use Bound::{Bytes, Nothing, One, Rows, Short, Stream};

/// The answer of each method.
const BOUNDS: &[(&str, Bound)] = &[
    ("app.bsky.actor.getPreferences", One),
    ("app.bsky.actor.putPreferences", Nothing),
    ("com.atproto.account.create", One),
    ("com.atproto.account.createInviteCode", Short),
    ("com.atproto.account.delete", Nothing),
    ("com.atproto.account.get", One),
    ("com.atproto.account.requestPasswordReset", Nothing),
    ("com.atproto.account.resetPassword", Nothing),
    ("com.atproto.admin.deleteAccount", Nothing),
    ("com.atproto.admin.disableAccountInvites", Nothing),
    ("com.atproto.admin.disableInviteCodes", Nothing),
    ("com.atproto.admin.enableAccountInvites", Nothing),
    ("com.atproto.admin.getAccountInfo", Bytes),
    ("com.atproto.admin.getAccountInfos", Bytes),
    ("com.atproto.admin.getInviteCodes", Bytes),
    ("com.atproto.admin.getSubjectStatus", Short),
    ("com.atproto.admin.searchAccounts", Bytes),
    ("com.atproto.admin.sendEmail", Short),
    ("com.atproto.admin.updateAccountEmail", Nothing),
    ("com.atproto.admin.updateAccountHandle", Nothing),
    ("com.atproto.admin.updateAccountPassword", Nothing),
    ("com.atproto.admin.updateAccountSigningKey", Nothing),
    ("com.atproto.admin.updateSubjectStatus", Short),
    ("com.atproto.identity.getRecommendedDidCredentials", One),
    ("com.atproto.identity.refreshIdentity", One),
    ("com.atproto.identity.requestPlcOperationSignature", Nothing),
    ("com.atproto.identity.resolveDid", One),
    ("com.atproto.identity.resolveHandle", Short),
    ("com.atproto.identity.resolveIdentity", One),
    ("com.atproto.identity.signPlcOperation", One),
    ("com.atproto.identity.submitPlcOperation", Nothing),
    ("com.atproto.identity.updateHandle", Nothing),
    ("com.atproto.repo.applyWrites", Rows),
    ("com.atproto.repo.createRecord", Short),
    ("com.atproto.repo.deleteRecord", Short),
    ("com.atproto.repo.describeRepo", Bytes),
    ("com.atproto.repo.getRecord", One),
    ("com.atproto.repo.importRepo", Nothing),
    ("com.atproto.repo.listMissingBlobs", Bytes),
    ("com.atproto.repo.listRecords", Bytes),
    ("com.atproto.repo.putRecord", Short),
    ("com.atproto.repo.uploadBlob", Short),
    ("com.atproto.server.activateAccount", Nothing),
    ("com.atproto.server.checkAccountStatus", Short),
    ("com.atproto.server.confirmEmail", Nothing),
    ("com.atproto.server.createAccount", One),
    ("com.atproto.server.createAppPassword", Short),
    ("com.atproto.server.createInviteCode", Short),
    ("com.atproto.server.createInviteCodes", Rows),
    ("com.atproto.server.createSession", One),
    ("com.atproto.server.deactivateAccount", Nothing),
    ("com.atproto.server.deleteAccount", Nothing),
    ("com.atproto.server.deleteSession", Nothing),
    ("com.atproto.server.describeServer", Short),
    ("com.atproto.server.getAccountInviteCodes", Bytes),
    ("com.atproto.server.getServiceAuth", Short),
    ("com.atproto.server.getSession", One),
    ("com.atproto.server.listAppPasswords", Rows),
    ("com.atproto.server.refreshSession", One),
    ("com.atproto.server.requestAccountDelete", Nothing),
    ("com.atproto.server.requestEmailConfirmation", Nothing),
    ("com.atproto.server.requestEmailUpdate", Short),
    ("com.atproto.server.requestPasswordReset", Nothing),
    ("com.atproto.server.reserveSigningKey", Short),
    ("com.atproto.server.resetPassword", Nothing),
    ("com.atproto.server.revokeAppPassword", Nothing),
    ("com.atproto.server.updateEmail", Nothing),
    ("com.atproto.sync.getBlob", Stream),
    ("com.atproto.sync.getBlocks", Stream),
    ("com.atproto.sync.getCheckout", Stream),
    ("com.atproto.sync.getHead", Short),
    ("com.atproto.sync.getLatestCommit", Short),
    ("com.atproto.sync.getRecord", One),
    ("com.atproto.sync.getRepo", Stream),
    ("com.atproto.sync.getRepoStatus", Short),
    ("com.atproto.sync.listBlobs", Rows),
    ("com.atproto.sync.listRepos", Bytes),
    ("com.atproto.sync.listReposByCollection", Bytes),
    ("com.atproto.sync.subscribeRepos", Stream),
    ("com.atproto.temp.addReservedHandle", Short),
    ("com.atproto.temp.checkHandleAvailability", Short),
    ("com.atproto.temp.checkSignupQueue", Short),
    ("com.atproto.temp.requestPhoneVerification", Nothing),
    ("com.atproto.temp.revokeAccountCredentials", Nothing),
];

#[test]
fn every_method_has_a_bound() {
    let routes = xrpc::routes();
    let mut methods: Vec<&str> = routes.nsids().collect();
    methods.sort_unstable();
    let listed: Vec<&str> = BOUNDS.iter().map(|(nsid, _)| *nsid).collect();
    assert_eq!(methods, listed);
}

#[test]
fn a_bound_suits_the_form_of_the_answer() {
    for (nsid, bound) in BOUNDS {
        let form = Form::of(nsid);
        match EXCEPTIONS.iter().find(|(excepted, ..)| excepted == nsid) {
            Some((_, of, by, why)) => assert_eq!((form, *bound), (*of, *by), "{nsid}: {why}"),
            None => assert!(bound.suits(form), "{nsid}: {bound:?} for {form:?}"),
        }
    }
}

#[tokio::test]
async fn a_page_of_large_records_ends_early_and_leads_on() {
    const NOTES: &str = "com.example.note";
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    // Control characters take six bytes of JSON each.
    for (n, text) in
        ["x".repeat(300_000), "\u{1}".repeat(90_000), "y".repeat(300_000)].iter().cycle().take(9).enumerate()
    {
        let record = json!({ "$type": NOTES, "n": n, "text": text });
        let body = json!({ "repo": alice.did, "collection": NOTES, "rkey": format!("k{n}"), "record": record });
        pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&body).ok().await;
    }
    let (mut seen, mut cursor, mut pages) = (Vec::new(), None::<String>, 0);
    loop {
        let mut call = pds.xrpc_get("com.atproto.repo.listRecords").param("repo", &alice.did);
        call = call.param("collection", NOTES).param("limit", 100).param("reverse", true);
        if let Some(cursor) = &cursor {
            call = call.param("cursor", cursor);
        }
        let reply = call.send().await;
        assert!(reply.body.len() < LIST_ANSWER_BYTES_MAX + RECORD_PAGE_BYTES_MAX + 100_000, "{}", reply.body.len());
        let page = reply.json();
        seen.extend(page["records"].as_array().unwrap().iter().map(|record| record["value"]["n"].as_i64().unwrap()));
        pages += 1;
        match page["cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, (0..9).collect::<Vec<_>>());
    assert!(pages > 3, "{pages}");
}

fn code(name: &str, owner: &str, used: i64) -> InviteCode {
    InviteCode {
        code: name.to_owned(),
        uses_max: used + 1_000,
        uses_left: used + 1_000,
        disabled: false,
        for_account: owner.to_owned(),
        created_by: "admin".to_owned(),
        created_at: 1_700_000_000_000_000,
    }
}

/// Makes a code that so many DIDs have used.
async fn used_code(pds: &TestPds, name: &str, owner: &str, used: i64) {
    let mut txn = Txn::new();
    invites::insert(&mut txn, &code(name, owner, used));
    for n in 0..used {
        let did = Did::parse(&format!("did:web:user{n}.{name}.example")).unwrap();
        invites::take_use(&mut txn, name, &did, 1_700_000_000_000_000 + n);
    }
    pds.app().db.commit(txn).await.unwrap();
}

fn length(value: &Value) -> usize {
    value.as_array().unwrap().len()
}

#[tokio::test]
async fn lists_of_accounts_and_codes_do_not_grow_with_the_uses_of_codes() {
    let pds = TestPds::start().await;
    used_code(&pds, "popular", "admin", 1_000).await;
    let mut dids = Vec::new();
    for n in 0..8 {
        let body = json!({
            "handle": format!("user{n}.test"), "email": format!("user{n}@mail.test"),
            "password": "a password of theirs", "inviteCode": "popular"
        });
        let made = pds.xrpc_post("com.atproto.server.createAccount").json(&body).ok().await;
        let did = made["did"].as_str().unwrap().to_owned();
        used_code(&pds, &format!("own{n}a"), &did, 900).await;
        used_code(&pds, &format!("own{n}b"), &did, 900).await;
        dids.push(did);
    }
    let search = || pds.xrpc_get("com.atproto.admin.searchAccounts").admin();
    let (mut seen, mut cursor) = (0, None::<String>);
    loop {
        let reply = cursor.iter().fold(search(), |call, cursor| call.param("cursor", cursor)).send().await;
        assert!(reply.body.len() < LIST_ANSWER_BYTES_MAX, "{}", reply.body.len());
        let page = reply.json();
        for account in page["accounts"].as_array().unwrap() {
            seen += 1;
            assert_eq!(
                account["invitedBy"]["uses"],
                json!([{
                    "usedBy": account["did"], "usedAt": account["invitedBy"]["uses"][0]["usedAt"]
                }])
            );
            let own = account["invites"].as_array().unwrap();
            assert_eq!(own.iter().map(|code| length(&code["uses"])).collect::<Vec<_>>(), [900, 100]);
        }
        match page["cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(seen, 8);

    let infos = dids
        .iter()
        .fold(pds.xrpc_get("com.atproto.admin.getAccountInfos").admin(), |call, did| call.param("dids", did));
    let infos = infos.send().await;
    assert!(infos.body.len() < LIST_ANSWER_BYTES_MAX, "{}", infos.body.len());
    assert_eq!(length(&infos.json()["infos"]), 8);

    let (mut codes, mut cursor) = (0, None::<String>);
    loop {
        let call = pds.xrpc_get("com.atproto.admin.getInviteCodes").admin().param("limit", 500);
        let reply = cursor.iter().fold(call, |call, cursor| call.param("cursor", cursor)).send().await;
        assert!(reply.body.len() < LIST_ANSWER_BYTES_MAX, "{}", reply.body.len());
        let page = reply.json();
        let uses: usize = page["codes"].as_array().unwrap().iter().map(|code| length(&code["uses"])).sum();
        assert!(i64::try_from(uses).unwrap() < ENTRIES_PER_ANSWER_MAX + 1_000);
        codes += length(&page["codes"]);
        match page["cursor"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => break,
        }
    }
    assert_eq!(codes, 17);
    let one = pds.xrpc_get("com.atproto.admin.getAccountInfo").admin().param("did", &dids[0]).ok().await;
    assert_eq!(length(&one["invitedBy"]["uses"]), 1_000);
}
