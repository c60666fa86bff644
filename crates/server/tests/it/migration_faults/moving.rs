//! Moving an account from one server to another with nothing but the public methods, step by step, as a client does
//! that remembers what it was answered and no more.

use std::{collections::BTreeMap, time::Duration};

use allod_atproto::{
    Cid, car,
    repo::{SignedCommit, Tree},
};
use allod_testkit::{Actor, Call, TestPds};
use bytes::Bytes;
use serde_json::{Value, json};

use super::site::Site;
use crate::elsewhere::CREATE_ACCOUNT;

const CAR: &str = "application/vnd.ipld.car";
pub(super) const NOTES: &str = "com.example.note";
pub(super) const BLOBS: [&str; 2] = ["a first blob", "a second blob"];
/// How many records are moved; some refer to the blobs.
const RECORDS: usize = 12;

/// Which of the two servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Old,
    New,
}

/// Two servers with one directory, and somebody who moves from the one to the other.
pub(super) struct Servers {
    pub(super) old: Site,
    pub(super) new: Site,
    pub(super) alice: Actor,
}

/// What the client has been answered so far.
#[derive(Debug, Clone, Default)]
pub(super) struct Known {
    service_token: String,
    /// Of the account at the new server.
    pub(super) access: String,
    credentials: Value,
    code: String,
    operation: Value,
}

/// What a step was refused with; no status when there was no answer.
#[derive(Debug, thiserror::Error)]
#[error("{status:?} {name}: {message}")]
pub(super) struct Refused {
    pub(super) status: Option<u16>,
    pub(super) name: String,
    message: String,
}

impl Refused {
    /// Whether the server says that it can't at the moment, or nothing: a connection may be of before the cut.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.status, None | Some(503))
    }
}

async fn ask(call: Call) -> Result<Value, Refused> {
    let reply = match call.try_send().await {
        Ok(reply) => reply,
        Err(error) => return Err(Refused { status: None, name: String::new(), message: error.to_string() }),
    };
    if reply.status == 200 && reply.body.is_empty() {
        return Ok(Value::Null);
    }
    let body = reply.json();
    if reply.status == 200 {
        return Ok(body);
    }
    let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    Err(Refused { status: Some(reply.status.as_u16()), name: field("error"), message: field("message") })
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

impl Servers {
    /// Starts both, and fills an account at the old one.
    pub(super) async fn start() -> Self {
        use allod_base::secret::Secret;
        let old = Site::start(TestPds::options(), None).await;
        let other = TestPds::options().seed(2).config(|config| {
            config.service.did = allod_atproto::Did::parse("did:web:new.test").unwrap();
            config.secrets.jwt_secret = Secret::new("fedcba9876543210fedcba9876543210".to_owned());
            config.secrets.plc_rotation_key = Secret::new([0x33; 32]);
            config.secrets.master_key = Secret::new([0x44; 32]);
        });
        let new = Site::start(other, Some(&old)).await;
        let alice = old.pds.account("alice").await;
        let mut blobs = Vec::new();
        for bytes in BLOBS {
            let upload = old.pds.xrpc_post("com.atproto.repo.uploadBlob").bearer(&alice.access);
            blobs.push(upload.body("text/plain", bytes).ok().await["blob"].clone());
        }
        let writes: Vec<Value> = (0..RECORDS)
            .map(|n| {
                let mut record = json!({ "$type": NOTES, "n": n });
                if let Some(blob) = blobs.get(n) {
                    record["blob"] = blob.clone();
                }
                json!({
                    "$type": "com.atproto.repo.applyWrites#create",
                    "collection": NOTES, "rkey": format!("{n:03}"), "value": record,
                })
            })
            .collect();
        let body = json!({ "repo": alice.did, "writes": writes });
        old.pds.xrpc_post("com.atproto.repo.applyWrites").bearer(&alice.access).json(&body).ok().await;
        let preferences = json!([{ "$type": "app.bsky.actor.defs#interestsPref", "tags": ["gardens"] }]);
        let put = old.pds.xrpc_post("app.bsky.actor.putPreferences").bearer(&alice.access);
        assert_eq!(put.json(&json!({ "preferences": preferences })).send().await.status, 200);
        Self { old, new, alice }
    }

    pub(super) fn site(&self, place: Place) -> &Site {
        match place {
            Place::Old => &self.old,
            Place::New => &self.new,
        }
    }

    pub(super) fn site_mut(&mut self, place: Place) -> &mut Site {
        match place {
            Place::Old => &mut self.old,
            Place::New => &mut self.new,
        }
    }

    fn get(&self, place: Place, known: &Known, nsid: &str) -> Call {
        self.site(place).pds.xrpc_get(nsid).bearer(self.token(place, known))
    }

    fn post(&self, place: Place, known: &Known, nsid: &str) -> Call {
        self.site(place).pds.xrpc_post(nsid).bearer(self.token(place, known))
    }

    fn token<'a>(&'a self, place: Place, known: &'a Known) -> &'a str {
        match place {
            Place::Old => &self.alice.access,
            Place::New => &known.access,
        }
    }

    pub(super) async fn get_service_auth(&self, known: Known) -> Result<Known, Refused> {
        let call = self.get(Place::Old, &known, "com.atproto.server.getServiceAuth");
        let answer = ask(call.param("aud", self.new.pds.did()).param("lxm", CREATE_ACCOUNT)).await?;
        Ok(Known { service_token: text(&answer["token"]), ..known })
    }

    /// An account that is there already is signed in to.
    pub(super) async fn create_account(&self, known: Known) -> Result<Known, Refused> {
        let Actor { did, handle, email, password, .. } = &self.alice;
        let body = json!({ "did": did, "handle": handle, "email": email, "password": password });
        let call = self.new.pds.xrpc_post(CREATE_ACCOUNT).bearer(&known.service_token).json(&body);
        let answer = match ask(call).await {
            Err(refused) if refused.status == Some(400) => {
                let body = json!({ "identifier": did, "password": password });
                ask(self.new.pds.xrpc_post("com.atproto.server.createSession").json(&body)).await?
            }
            answer => answer?,
        };
        Ok(Known { access: text(&answer["accessJwt"]), ..known })
    }

    pub(super) async fn import_repo(&self, known: Known) -> Result<Known, Refused> {
        let file = exported(&self.old.pds, &self.alice).await;
        ask(self.post(Place::New, &known, "com.atproto.repo.importRepo").body(CAR, file)).await?;
        Ok(known)
    }

    pub(super) async fn upload_blobs(&self, known: Known) -> Result<Known, Refused> {
        let missing = ask(self.get(Place::New, &known, "com.atproto.repo.listMissingBlobs")).await?;
        for blob in missing["blobs"].as_array().unwrap() {
            let call = self.old.pds.xrpc_get("com.atproto.sync.getBlob").param("did", &self.alice.did);
            let bytes = call.param("cid", text(&blob["cid"])).send().await.body;
            ask(self.post(Place::New, &known, "com.atproto.repo.uploadBlob").body("text/plain", bytes)).await?;
        }
        Ok(known)
    }

    pub(super) async fn put_preferences(&self, known: Known) -> Result<Known, Refused> {
        let kept = ask(self.get(Place::Old, &known, "app.bsky.actor.getPreferences")).await?;
        let body = json!({ "preferences": kept["preferences"] });
        ask(self.post(Place::New, &known, "app.bsky.actor.putPreferences").json(&body)).await?;
        Ok(known)
    }

    pub(super) async fn get_credentials(&self, known: Known) -> Result<Known, Refused> {
        let nsid = "com.atproto.identity.getRecommendedDidCredentials";
        let credentials = ask(self.get(Place::New, &known, nsid)).await?;
        Ok(Known { credentials, ..known })
    }

    /// The code is read when it has come: the newest counts.
    pub(super) async fn request_signature(&self, known: Known) -> Result<Known, Refused> {
        ask(self.post(Place::Old, &known, "com.atproto.identity.requestPlcOperationSignature")).await?;
        Ok(Known { code: self.old.pds.code_mailed_to(&self.alice.email).await, ..known })
    }

    /// A code that is not taken any more is asked for again.
    pub(super) async fn sign(&self, known: Known) -> Result<Known, Refused> {
        // A directory takes no two operations of one moment.
        self.old.pds.advance(Duration::from_secs(1));
        let signed = match self.sign_with_code(&known).await {
            Err(refused) if refused.name == "InvalidToken" => {
                let known = self.request_signature(known.clone()).await?;
                self.sign_with_code(&known).await?
            }
            signed => signed?,
        };
        Ok(Known { operation: signed["operation"].clone(), ..known })
    }

    async fn sign_with_code(&self, known: &Known) -> Result<Value, Refused> {
        let mut wanted = known.credentials.clone();
        wanted["token"] = json!(known.code);
        ask(self.post(Place::Old, known, "com.atproto.identity.signPlcOperation").json(&wanted)).await
    }

    pub(super) async fn submit(&self, known: Known) -> Result<Known, Refused> {
        let body = json!({ "operation": known.operation });
        ask(self.post(Place::New, &known, "com.atproto.identity.submitPlcOperation").json(&body)).await?;
        Ok(known)
    }

    pub(super) async fn activate(&self, known: Known) -> Result<Known, Refused> {
        ask(self.post(Place::New, &known, "com.atproto.server.activateAccount")).await?;
        Ok(known)
    }

    pub(super) async fn deactivate(&self, known: Known) -> Result<Known, Refused> {
        ask(self.post(Place::Old, &known, "com.atproto.server.deactivateAccount").json(&json!({}))).await?;
        Ok(known)
    }
}

/// The repository as the operator may read it at any time.
async fn exported(pds: &TestPds, actor: &Actor) -> Bytes {
    let reply = pds.xrpc_get("com.atproto.sync.getRepo").param("did", &actor.did).admin().send().await;
    assert_eq!(reply.status, 200, "{}", reply.text());
    reply.body
}

/// The records of an account, each with its block.
pub(super) async fn records(pds: &TestPds, actor: &Actor) -> BTreeMap<String, (Cid, Vec<u8>)> {
    let file = exported(pds, actor).await;
    let file = car::read(&file, &car::Limits::REPOSITORY).unwrap();
    let commit = SignedCommit::parse(file.get(&file.root().unwrap()).unwrap()).unwrap();
    let tree = Tree::from_blocks(&commit.commit().data, |cid| file.get(cid)).unwrap();
    let block = |cid: Cid| (cid, file.get(&cid).unwrap().to_vec());
    let records: BTreeMap<_, _> = tree.entries().map(|(path, cid)| (path.to_string(), block(cid))).collect();
    assert_eq!(records.len(), RECORDS);
    records
}
