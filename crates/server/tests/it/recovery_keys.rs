//! A rotation key of the owner's own, added at any time: with it the identity can be won back without this server.

use allod_atproto::{crypto::Curve, frame::Message, plc::UnsignedPlcOperation};
use allod_server::control::{AccountDetails, Answer, Command, ControlError, Silent, execute};
use allod_testkit::{Actor, Behaviour, TestPds};

use crate::elsewhere::{self, directory, key};

async fn add(pds: &TestPds, account: &str, key: &str) -> Result<Vec<String>, ControlError> {
    let command = Command::AccountAddRecoveryKey { account: account.to_owned(), key: key.to_owned() };
    let Answer::RecoveryKeyAdded(added) = execute(pds.app(), command, &mut Silent).await? else { panic!("keys") };
    Ok(added.rotation_keys)
}

async fn shown(pds: &TestPds, actor: &Actor) -> AccountDetails {
    let command = Command::AccountShow { account: actor.did.to_string() };
    let Ok(Answer::Account(details)) = execute(pds.app(), command, &mut Silent).await else { panic!("an account") };
    details
}

#[tokio::test]
async fn an_owners_key_comes_first_and_wins_the_identity_back() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let advised = shown(&pds, &alice).await.warnings;
    assert!(matches!(advised.as_slice(), [advice] if advice.contains("There is no recovery key")), "{advised:?}");

    let owner = key(Curve::P256, 77);
    let server = pds.app().rotation_key.did_key();
    let before = pds.events().await.len();
    pds.advance(std::time::Duration::from_secs(1));
    let keys = add(&pds, "alice.test", owner.did_key().as_str()).await.unwrap();
    assert_eq!(keys, [owner.did_key().to_string(), server.to_string()]);
    let told: Vec<_> = pds.events().await.into_iter().skip(before).map(|(_, frame)| frame.message).collect();
    assert!(matches!(told.as_slice(), [Message::Identity(_)]), "{told:?}");
    assert!(shown(&pds, &alice).await.warnings.is_empty());

    // Again: nothing is sent.
    let sent = pds.plc().submissions().len();
    assert_eq!(add(&pds, "alice.test", owner.did_key().as_str()).await.unwrap(), keys);
    assert_eq!(pds.plc().submissions().len(), sent);

    // The owner takes the server's key out, and the server sees that it can do nothing more.
    let directory = directory(&pds);
    let last = directory.last_operation(&alice.did).await.unwrap().unwrap();
    let mut data = last.data().unwrap();
    data.rotation_keys = vec![owner.did_key()];
    pds.advance(std::time::Duration::from_secs(1));
    let operation = UnsignedPlcOperation::from_data(data, Some(last.cid())).sign(&owner);
    directory.submit(&alice.did, &operation).await.unwrap();
    let warned = shown(&pds, &alice).await.warnings;
    assert_eq!(warned, ["Server rotation key not included in PLC DID data"]);
    let refused = add(&pds, "alice.test", key(Curve::K256, 78).did_key().as_str()).await.unwrap_err();
    assert_eq!(refused.message, "Server rotation key not included in PLC DID data");
}

#[tokio::test]
async fn what_is_no_owners_key_changes_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let sent = pds.plc().submissions().len();
    let server = pds.app().rotation_key.did_key();
    for (key, message) in [
        ("nonsense", "the key is not one for rotation"),
        ("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "the key is not one for rotation"),
        (server.as_str(), "the server's own key"),
    ] {
        let refused = add(&pds, alice.did.as_str(), key).await.unwrap_err();
        assert!(refused.message.contains(message), "{}", refused.message);
    }
    let key = elsewhere::key(Curve::K256, 77).did_key();
    assert_eq!(add(&pds, "nobody.test", key.as_str()).await.unwrap_err().error, "NotFound");
    pds.plc().behave(Behaviour::Down).await;
    assert_eq!(add(&pds, "alice.test", key.as_str()).await.unwrap_err().error, "KeyNotAdded");
    let advised = shown(&pds, &alice).await.warnings;
    assert!(matches!(advised.as_slice(), [advice] if advice.contains("can't be told")), "{advised:?}");
    pds.plc().behave(Behaviour::Work).await;
    assert_eq!(pds.plc().submissions().len(), sent);
}

#[tokio::test]
async fn a_did_is_not_filled_with_keys_without_end() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    let mut added = 0;
    let refused = loop {
        pds.advance(std::time::Duration::from_secs(1));
        match add(&pds, "alice.test", key(Curve::K256, 100 + added).did_key().as_str()).await {
            Ok(keys) => assert_eq!(keys.len(), usize::from(added) + 2),
            Err(error) => break error,
        }
        added += 1;
    };
    assert!(added >= 4, "{added}");
    assert!(refused.message.starts_with("Invalid operation"), "{}", refused.message);
}
