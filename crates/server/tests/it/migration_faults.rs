//! A whole move from one server to another, with the power cut at every durable step of it. Whoever moves knows no more
//! than that a step has failed, and says it again. In the end the account lives at the new server alone, with all it had,
//! and whoever follows both streams was never told anything else.

mod moving;
mod site;

use std::{collections::BTreeMap, panic::AssertUnwindSafe, time::Duration};

use allod_atproto::{
    Cid,
    crypto::DidKey,
    frame::{AccountStatus, Frame, Message},
};
use allod_store::{
    fault::Fault,
    sql,
    tables::{identity_changes, sign_ups},
};
use allod_testkit::{Consumer, TestPds};
use futures_util::{FutureExt as _, StreamExt as _, future::BoxFuture, stream};
use serde_json::{Value, json};

use self::{
    moving::{BLOBS, Known, NOTES, Place, Refused, Servers, records},
    site::Site,
};

/// How many moves are under way at once.
const MOVES_AT_ONCE: usize = 6;
/// How often a client comes back that is told to.
const TRIES_MAX: usize = 200;

/// One step of a move.
struct Step {
    name: &'static str,
    /// Who does the durable work.
    place: Place,
    /// How many transactions that is; none for a question.
    commits: u64,
    run: for<'a> fn(&'a Servers, Known) -> BoxFuture<'a, Result<Known, Refused>>,
}

const STEPS: &[Step] = &[
    Step { name: "getServiceAuth", place: Place::Old, commits: 0, run: |s, k| s.get_service_auth(k).boxed() },
    Step { name: "createAccount", place: Place::New, commits: 1, run: |s, k| s.create_account(k).boxed() },
    // The new set of records is announced, filled, and made the repository.
    Step { name: "importRepo", place: Place::New, commits: 3, run: |s, k| s.import_repo(k).boxed() },
    Step { name: "uploadBlob", place: Place::New, commits: BLOBS.len() as u64, run: |s, k| s.upload_blobs(k).boxed() },
    Step { name: "putPreferences", place: Place::New, commits: 1, run: |s, k| s.put_preferences(k).boxed() },
    Step {
        name: "getRecommendedDidCredentials",
        place: Place::New,
        commits: 0,
        run: |s, k| s.get_credentials(k).boxed(),
    },
    // The code with its letter is posted; then the letter is sent.
    Step {
        name: "requestPlcOperationSignature",
        place: Place::Old,
        commits: 2,
        run: |s, k| s.request_signature(k).boxed(),
    },
    // The try is counted, then the code used up.
    Step { name: "signPlcOperation", place: Place::Old, commits: 2, run: |s, k| s.sign(k).boxed() },
    // What will be sent is written down, then made true here.
    Step { name: "submitPlcOperation", place: Place::New, commits: 2, run: |s, k| s.submit(k).boxed() },
    Step { name: "activateAccount", place: Place::New, commits: 1, run: |s, k| s.activate(k).boxed() },
    Step { name: "deactivateAccount", place: Place::Old, commits: 1, run: |s, k| s.deactivate(k).boxed() },
];

/// Where in a step the power is cut.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// While a question is looked up.
    Asked,
    /// Before the n-th transaction is durable.
    Before(u64),
    /// When the n-th transaction is durable, and nobody has been told.
    After(u64),
}

impl Moment {
    fn of(step: &Step) -> Vec<Self> {
        if step.commits == 0 {
            return vec![Self::Asked];
        }
        (1..=step.commits).flat_map(|commit| [Self::Before(commit), Self::After(commit)]).collect()
    }

    fn set(self, pds: &TestPds) {
        match self {
            Self::Asked => pds.store().at_read(1, Fault::Hang),
            Self::Before(commit) => pds.store().at_commit(commit, Fault::Hang),
            Self::After(commit) => pds.store().at_commit(commit, Fault::HangApplied),
        }
    }
}

/// Says a step again for as long as the server tells to come back.
async fn said_again(servers: &Servers, step: &Step, known: &Known) -> Known {
    for _ in 0..TRIES_MAX {
        match (step.run)(servers, known.clone()).await {
            Ok(known) => return known,
            Err(refused) if refused.is_passing() => tokio::time::sleep(Duration::from_millis(10)).await,
            Err(refused) => panic!("{} was refused for good: {refused}", step.name),
        }
    }
    panic!("{} never succeeds", step.name);
}

/// Carries a step out that is cut off at a moment, and then again.
async fn cut_off(servers: &mut Servers, step: &Step, moment: Moment, known: &Known) -> Known {
    let site = servers.site(step.place);
    site.rests().await;
    moment.set(&site.pds);
    tokio::select! {
        answer = (step.run)(servers, known.clone()) => panic!("{} {moment:?} was not met: {answer:?}", step.name),
        () = site.hangs() => {}
    }
    servers.site_mut(step.place).power_cut().await;
    said_again(servers, step, known).await
}

async fn moved_with_a_cut(cut: &'static Step, moment: Moment) {
    let mut servers = Servers::start().await;
    let before = Before::of(&servers).await;
    let mut known = Known::default();
    for step in STEPS {
        if step.name == "activateAccount" {
            assert!(told(&servers.new.pds).await.is_empty(), "the network was told of an account that is not active");
        }
        known = if step.name == cut.name {
            cut_off(&mut servers, step, moment, &known).await
        } else {
            said_again(&servers, step, &known).await
        };
    }
    before.is_at_the_new_server(&servers, &known).await;
}

#[tokio::test]
async fn the_power_is_cut_at_every_durable_step_and_the_move_is_finished_all_the_same() {
    let cuts = STEPS.iter().flat_map(|step| Moment::of(step).into_iter().map(move |moment| (step, moment)));
    let moves = stream::iter(cuts).map(|(step, moment)| async move {
        let moved = AssertUnwindSafe(moved_with_a_cut(step, moment)).catch_unwind().await;
        moved.is_err().then(|| format!("{} {moment:?}", step.name))
    });
    let failed: Vec<_> = moves.buffer_unordered(MOVES_AT_ONCE).filter_map(std::future::ready).collect().await;
    assert!(failed.is_empty(), "the power was cut at {failed:?}");
}

#[tokio::test]
async fn the_table_tells_how_many_transactions_a_step_is() {
    let servers = Servers::start().await;
    let mut known = Known::default();
    for step in STEPS {
        let site = servers.site(step.place);
        site.rests().await;
        let before = site.pds.store().commits();
        known = said_again(&servers, step, &known).await;
        site.rests().await;
        assert_eq!(site.pds.store().commits() - before, step.commits, "{}", step.name);
    }
}

#[tokio::test]
async fn a_store_that_does_not_sync_loses_what_was_acknowledged() {
    let careless = TestPds::options().store(allod_store::sqlite::SqliteOptions::without_durability);
    for (options, kept) in [(TestPds::options(), true), (careless, false)] {
        let mut site = Site::start(options, None).await;
        let alice = site.pds.account("alice").await;
        site.power_cut().await;
        let body = json!({ "identifier": alice.did, "password": alice.password });
        let signed_in = site.pds.xrpc_post("com.atproto.server.createSession").json(&body).send().await;
        assert_eq!(signed_in.status == 200, kept, "{}", signed_in.text());
    }
}

/// What the account had before it moved.
struct Before {
    records: BTreeMap<String, (Cid, Vec<u8>)>,
    status: Value,
    preferences: Value,
}

async fn status(pds: &TestPds, access: &str) -> Value {
    pds.xrpc_get("com.atproto.server.checkAccountStatus").bearer(access).ok().await
}

async fn preferences(pds: &TestPds, access: &str) -> Value {
    pds.xrpc_get("app.bsky.actor.getPreferences").bearer(access).ok().await
}

impl Before {
    async fn of(servers: &Servers) -> Self {
        let (old, alice) = (&servers.old.pds, &servers.alice);
        let status = status(old, &alice.access).await;
        assert_eq!(status["importedBlobs"], json!(BLOBS.len()));
        Self { records: records(old, alice).await, status, preferences: preferences(old, &alice.access).await }
    }

    async fn is_at_the_new_server(&self, servers: &Servers, known: &Known) {
        let Servers { old, new, alice } = servers;
        let (old, new) = (&old.pds, &new.pds);
        let document = new.plc().document(alice.did.as_str()).await.unwrap();
        assert_eq!(document["service"][0]["serviceEndpoint"], new.app().config.service.public_url);
        assert_eq!(document["alsoKnownAs"], json!([format!("at://{}", alice.handle)]));
        let key = document["verificationMethod"][0]["publicKeyMultibase"].as_str().unwrap();
        let key = DidKey::parse(&format!("did:key:{key}")).unwrap();

        // One host has the account.
        let hosted = async |pds: &TestPds| {
            let status = pds.xrpc_get("com.atproto.sync.getRepoStatus").param("did", &alice.did).ok().await;
            (status["active"].clone(), status["status"].clone())
        };
        assert_eq!(hosted(old).await, (json!(false), json!("deactivated")));
        assert_eq!(hosted(new).await, (json!(true), Value::Null));

        // It has all that it had.
        assert_eq!(records(new, alice).await, self.records);
        assert_eq!(preferences(new, &known.access).await, self.preferences);
        let now = status(new, &known.access).await;
        for field in ["activated", "validDid", "repoBlocks", "indexedRecords", "expectedBlobs", "importedBlobs"] {
            assert_eq!(now[field], self.status[field], "{field}");
        }
        assert_eq!(status(old, &alice.access).await["activated"], false);
        let blobs = new.xrpc_get("com.atproto.sync.listBlobs").param("did", &alice.did).ok().await;
        let mut bytes = Vec::new();
        for cid in blobs["cids"].as_array().unwrap() {
            let call = new.xrpc_get("com.atproto.sync.getBlob").param("did", &alice.did);
            bytes.push(call.param("cid", cid.as_str().unwrap()).send().await.text());
        }
        bytes.sort();
        assert_eq!(bytes, BLOBS);

        // It goes on there: what is written next is told of, too.
        let body = json!({ "repo": alice.did, "collection": NOTES, "record": { "$type": NOTES, "n": "new" } });
        new.xrpc_post("com.atproto.repo.createRecord").bearer(&known.access).json(&body).ok().await;
        let write = old.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&body);
        assert_eq!(write.error().await.1, "AccountDeactivated");
        self.was_told(servers, &key).await;
        for pds in [old, new] {
            nothing_is_left_over(pds).await;
        }
    }

    /// Whoever follows both streams from their beginnings was told the same.
    async fn was_told(&self, servers: &Servers, key: &DidKey) {
        let frames = told(&servers.new.pds).await;
        let [first, .., last] = frames.as_slice() else { panic!("nothing was told: {frames:?}") };
        assert!(matches!(&first.message, Message::Account(account) if account.active), "{first:?}");
        assert!(matches!(&last.message, Message::Commit(_)), "{last:?}");
        let mut consumer = Consumer::joining_late();
        for frame in &frames {
            consumer.take(frame, Some(key)).unwrap();
        }
        let arrival = frames.iter().find(|f| matches!(f.message, Message::Commit(_) | Message::Sync(_))).unwrap();
        assert!(matches!(arrival.message, Message::Sync(_)), "it arrives by a sync, for others know it already");

        let frames = told(&servers.old.pds).await;
        let Some(Message::Account(gone)) = frames.last().map(|frame| &frame.message) else { panic!("{frames:?}") };
        assert_eq!((gone.active, &gone.status), (false, &Some(AccountStatus::Deactivated)));
    }
}

/// What a server's stream tells from its beginning on.
async fn told(pds: &TestPds) -> Vec<Frame> {
    let newest = *pds.app().db.watch().borrow();
    let mut stream = pds.subscribe(Some(0)).await;
    let mut frames = Vec::new();
    while frames.last().and_then(|frame: &Frame| frame.seq).unwrap_or(0) < newest {
        frames.push(stream.frame().await);
    }
    frames
}

/// Every name has an owner, nothing is under way, and nothing is left of imports that were cut off.
async fn nothing_is_left_over(pds: &TestPds) {
    let db = &*pds.app().db;
    pds.advance(Duration::from_hours(2));
    pds.do_jobs().await;
    for query in [
        sql!("SELECT COUNT(*) FROM handles WHERE did NOT IN (SELECT did FROM accounts)"),
        sql!("SELECT COUNT(*) FROM emails WHERE did NOT IN (SELECT did FROM accounts)"),
        sql!("SELECT COUNT(*) FROM signing_keys WHERE did NOT IN (SELECT did FROM accounts)"),
        sql!("SELECT COUNT(*) FROM records WHERE record_set NOT IN (SELECT record_set FROM repos)"),
        sql!("SELECT COUNT(*) FROM record_blobs WHERE record_set NOT IN (SELECT record_set FROM repos)"),
        sql!("SELECT COUNT(*) FROM old_record_sets"),
        sql!("SELECT COUNT(*) FROM mail_outbox"),
    ] {
        let text = format!("{query:?}");
        assert_eq!(db.read(query).await.unwrap()[0].get::<i64>(0).unwrap(), 0, "{text}");
    }
    assert!(identity_changes::due(db, i64::MAX, 10).await.unwrap().is_empty());
    let unfinished = sign_ups::due(db, i64::MAX, 10).await.unwrap();
    assert!(unfinished.iter().all(|row| row.state == sign_ups::SignUpState::Active), "{unfinished:?}");
    assert_eq!(std::fs::read_dir(pds.imports()).map_or(0, Iterator::count), 0, "a file of an import is left");
}
