//! Messages of the public firehose and the relay's scenarios, as far as the bytes alone decide.

use allod_atproto::crypto::DidKey;
use allod_atproto::frame::{self, EncodedFrame, Frame, Message};
use allod_atproto::repo::{SignedCommit, VerifyError, verify_commit_message};
use allod_atproto::{Did, Tid, cbor, json};
use serde_json::{Value, json};

use crate::vectors;

const COMMITS: &str = "indigo/atproto/repo/testdata";
const SCENARIOS: &str = "indigo/cmd/relay/testing/testdata";

/// Commits of the first version of the protocol: whole and consistent but for the names of the
/// trees before, which they did not carry.
#[test]
fn commits_without_prev_data() {
    for (name, ops) in [("4621317030", 1), ("4621317332", 1), ("4621332152", 42), ("4623075231", 1)] {
        let body = vectors::json(&format!("{COMMITS}/firehose_commit_{name}.json"));
        let Frame { message: Message::Commit(mut commit), .. } = decode(&json!({"op": 1, "t": "#commit"}), &body)
        else {
            panic!("{name}: not a commit")
        };
        assert_eq!((commit.ops.len(), commit.prev_data), (ops, None), "{name}");
        // Whose key signed them is not told: all checks but that one pass.
        let stranger = DidKey::parse("did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme").unwrap();
        assert!(matches!(verify_commit_message(&commit, &stranger), Err(VerifyError::Signature(_))), "{name}");
        commit.rev = Tid::from_parts(1, 1);
        assert_eq!(verify_commit_message(&commit, &stranger), Err(VerifyError::FieldMismatch("rev")), "{name}");
    }
}

/// What the relay takes and drops of a stream of events.
#[test]
fn relay_scenarios() {
    let mut commits = 0;
    for name in [
        "account_lifecycle",
        "deactivation",
        "legacy",
        "post_lifecycle",
        "post_lifecycle_legacy",
        "rev_ordering",
        "seq_ordering",
    ] {
        let scenario = vectors::json(&format!("{SCENARIOS}/{name}.json"));
        let mut relay = Relay::new(&scenario["accounts"][0]["identity"]);
        for (n, step) in scenario["messages"].as_array().unwrap().iter().enumerate() {
            let frame = encode(&step["frame"]["header"], &step["frame"]["body"]);
            let taken = relay.take(&frame);
            let is_dropped = step["drop"].as_bool().unwrap() || step["invalid"].as_bool().unwrap();
            assert_eq!(taken.is_err(), is_dropped, "{name} {n}: {taken:?}");
            commits += usize::from(taken == Ok("#commit"));
        }
    }
    assert_eq!(commits, 21);
}

/// As much of a relay as judges one account's events.
struct Relay {
    did: Did,
    key: DidKey,
    seq: i64,
    is_active: bool,
    last: Option<SignedCommit>,
}

impl Relay {
    fn new(identity: &Value) -> Self {
        let key = identity["keys"]["atproto"]["publicKeyMultibase"].as_str().unwrap();
        Self {
            did: Did::parse(vectors::str(identity, "did")).unwrap(),
            key: DidKey::from_multibase(key).unwrap(),
            seq: 0,
            is_active: true,
            last: None,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<&'static str, String> {
        let frame = frame::decode(bytes).map_err(|error| error.to_string())?;
        let seq = frame.seq.ok_or("no sequence number")?;
        if seq <= self.seq {
            return Err("old sequence number".to_owned());
        }
        self.seq = seq;
        match frame.message {
            Message::Commit(commit) => {
                if !self.is_active {
                    return Err("inactive".to_owned());
                }
                assert_eq!(commit.repo, self.did);
                if self.last.as_ref().is_some_and(|last| commit.rev <= last.commit().rev) {
                    return Err("old rev".to_owned());
                }
                let verified = verify_commit_message(&commit, &self.key).map_err(|error| error.to_string())?;
                if let (Some(last), Some(prev_data)) = (&self.last, commit.prev_data) {
                    assert_eq!(prev_data, last.commit().data);
                }
                self.last = Some(verified);
                encodes_again(bytes, &frame::commit(&commit), seq);
                Ok("#commit")
            }
            Message::Sync(sync) => {
                assert_eq!(sync.did, self.did);
                encodes_again(bytes, &frame::sync(&sync), seq);
                Ok("#sync")
            }
            Message::Identity(identity) => {
                assert_eq!(identity.did, self.did);
                encodes_again(bytes, &frame::identity(&identity), seq);
                Ok("#identity")
            }
            Message::Account(account) => {
                assert_eq!(account.did, self.did);
                self.is_active = account.active;
                encodes_again(bytes, &frame::account(&account), seq);
                Ok("#account")
            }
            other @ (Message::Info(_) | Message::Error(_) | Message::Other { .. }) => panic!("{other:?}"),
        }
    }
}

fn decode(header: &Value, body: &Value) -> Frame {
    frame::decode(&encode(header, body)).unwrap()
}

/// The frame of a message in JSON; `blobs`, which old messages have as null, is the list that it must be.
fn encode(header: &Value, body: &Value) -> Vec<u8> {
    let mut body = body.clone();
    if body.get("blobs").is_some_and(Value::is_null) {
        body["blobs"] = json!([]);
    }
    [header, &body].into_iter().flat_map(|part| cbor::encode(&json::to_value(part).unwrap())).collect()
}

/// Our encoding of a message is the one it was read from.
fn encodes_again(bytes: &[u8], frame: &EncodedFrame, seq: i64) {
    assert_eq!(frame.with_seq(seq), bytes);
}
