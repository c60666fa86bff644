//! Letters: posted with what they are about, sent once, tried again, bounded; and the codes in them.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use allod_server::{
    app::App,
    domain::{
        email_codes::{CodeError, Purpose},
        mail::{Content, Letter, Message, SendCodeError, Transport, TransportError},
    },
};
use allod_store::{CommitError, ConflictKey, Txn, tables::accounts::Account};
use allod_testkit::{Actor, TestPds};
use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};

const MINUTE: Duration = Duration::from_mins(1);

/// What the scripted transport does with a letter.
#[derive(Clone, Copy)]
enum Step {
    PutOff,
    Refuse,
    Hang,
}

#[derive(Default)]
struct Scripted {
    steps: Mutex<VecDeque<Step>>,
    sent: Mutex<Vec<Message>>,
    tries: Mutex<usize>,
}

impl Scripted {
    fn with(steps: &[Step]) -> Arc<Self> {
        Arc::new(Self { steps: Mutex::new(steps.iter().copied().collect()), ..Self::default() })
    }

    fn sent(&self) -> usize {
        self.sent.lock().unwrap().len()
    }

    fn tries(&self) -> usize {
        *self.tries.lock().unwrap()
    }
}

impl Transport for Scripted {
    fn send<'a>(&'a self, message: &'a Message) -> BoxFuture<'a, Result<(), TransportError>> {
        *self.tries.lock().unwrap() += 1;
        let step = self.steps.lock().unwrap().pop_front();
        async move {
            match step {
                None => self.sent.lock().unwrap().push(message.clone()),
                Some(Step::PutOff) => return Err(TransportError::Passing("come back later".to_owned())),
                Some(Step::Refuse) => return Err(TransportError::Lasting("no such mailbox".to_owned())),
                Some(Step::Hang) => futures_util::future::pending().await,
            }
            Ok(())
        }
        .boxed()
    }
}

async fn account(app: &App, actor: &Actor) -> Account {
    app.accounts.by_did(&actor.did).await.unwrap().unwrap()
}

async fn send(pds: &TestPds, actor: &Actor, purpose: Purpose) -> Result<(), SendCodeError> {
    pds.app().mail.send_code(&account(pds.app(), actor).await, purpose).await
}

async fn redeem(pds: &TestPds, actor: &Actor, purpose: Purpose, code: &str) -> Result<(), CodeError> {
    let mut txn = Txn::new();
    pds.app().email_codes.redeem(&mut txn, &actor.did, purpose, code).await?;
    pds.app().db.commit(txn).await?;
    Ok(())
}

async fn notice(pds: &TestPds, to: &str, actor: &Actor) -> Result<(), CommitError> {
    let mut txn = Txn::new();
    let content = Content::PasswordChanged { handle: actor.handle.clone() };
    pds.app().mail.post(&mut txn, Letter { to: to.to_owned(), account: Some(actor.did.clone()), content });
    pds.app().db.commit(txn).await.map(|_| ())
}

fn counted() -> allod_testkit::Options {
    TestPds::options().config(|config| config.rate_limits.enabled = true)
}

#[tokio::test]
async fn a_code_is_good_once_for_its_account_and_purpose() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    send(&pds, &alice, Purpose::ConfirmEmail).await.unwrap();
    let code = pds.code_mailed_to(&alice.email).await;
    assert!(code.len() == 11 && code.as_bytes()[5] == b'-', "{code}");
    assert!(matches!(redeem(&pds, &bob, Purpose::ConfirmEmail, &code).await, Err(CodeError::Invalid)));
    assert!(matches!(redeem(&pds, &alice, Purpose::DeleteAccount, &code).await, Err(CodeError::Invalid)));
    redeem(&pds, &alice, Purpose::ConfirmEmail, &code.to_lowercase()).await.unwrap();
    assert!(matches!(redeem(&pds, &alice, Purpose::ConfirmEmail, &code).await, Err(CodeError::Invalid)));
}

#[tokio::test]
async fn of_a_hundred_who_show_a_code_one_succeeds() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for purpose in Purpose::ALL {
        send(&pds, &alice, purpose).await.unwrap();
        let code = pds.code_mailed_to(&alice.email).await;
        let outcomes = join_all((0..100).map(|_| redeem(&pds, &alice, purpose, &code))).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
        assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(()) | Err(CodeError::Invalid))));
    }
}

#[tokio::test]
async fn five_wrong_tries_burn_a_code_also_over_a_restart() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    send(&pds, &alice, Purpose::DeleteAccount).await.unwrap();
    let code = pds.code_mailed_to(&alice.email).await;
    for round in 0..5 {
        if round == 3 {
            pds.crash().await;
        }
        let wrong = redeem(&pds, &alice, Purpose::DeleteAccount, "AAAAA-AAAAA").await;
        assert!(matches!(wrong, Err(CodeError::Invalid)), "{wrong:?}");
    }
    assert!(matches!(redeem(&pds, &alice, Purpose::DeleteAccount, &code).await, Err(CodeError::Invalid)));
    send(&pds, &alice, Purpose::DeleteAccount).await.unwrap();
    let code = pds.code_mailed_to(&alice.email).await;
    redeem(&pds, &alice, Purpose::DeleteAccount, &code).await.unwrap();
}

#[tokio::test]
async fn a_code_expires_and_a_later_one_takes_its_place() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    send(&pds, &alice, Purpose::UpdateEmail).await.unwrap();
    let first = pds.code_mailed_to(&alice.email).await;
    pds.advance(15 * MINUTE);
    assert!(matches!(redeem(&pds, &alice, Purpose::UpdateEmail, &first).await, Err(CodeError::Expired)));
    send(&pds, &alice, Purpose::UpdateEmail).await.unwrap();
    let second = pds.code_mailed_to(&alice.email).await;
    assert!(matches!(redeem(&pds, &alice, Purpose::UpdateEmail, &first).await, Err(CodeError::Invalid)));
    redeem(&pds, &alice, Purpose::UpdateEmail, &second).await.unwrap();
}

#[tokio::test]
async fn a_code_is_nowhere_on_the_disk() {
    let mut pds = TestPds::options().mail_transport(Scripted::with(&[Step::PutOff])).start().await;
    let alice = pds.account("alice").await;
    let mut txn = Txn::new();
    let code = pds.app().email_codes.issue(&mut txn, &alice.did, Purpose::SignIn);
    let content = Content::Code { purpose: Purpose::SignIn, handle: alice.handle.clone(), code: code.clone() };
    let letter = Letter { to: "canary@mail.test".to_owned(), account: Some(alice.did.clone()), content };
    pds.app().mail.post(&mut txn, letter);
    pds.app().db.commit(txn).await.unwrap();
    pds.deliver_mail().await;
    let folder = pds.database().parent().unwrap().to_owned();
    let mut files = 0;
    for restarted in [false, true] {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let Ok(bytes) = std::fs::read(&path) else { continue };
            files += 1;
            for secret in [code.expose().as_bytes(), b"canary@mail.test"] {
                assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{path:?}, {restarted}");
            }
        }
        pds.restart().await;
    }
    assert!(files > 2);
}

#[tokio::test]
async fn a_letter_that_can_not_be_sent_is_tried_ever_later_over_restarts_and_sent_once() {
    let transport = Scripted::with(&[Step::PutOff, Step::PutOff, Step::PutOff]);
    let mut pds = TestPds::options().mail_transport(Arc::<Scripted>::clone(&transport)).start().await;
    let alice = pds.account("alice").await;
    notice(&pds, &alice.email, &alice).await.unwrap();
    pds.deliver_mail().await;
    assert_eq!((transport.tries(), transport.sent()), (1, 0));
    for (wait_secs, tries) in [(5, 2), (15, 3), (45, 4)] {
        pds.advance(Duration::from_secs(wait_secs - 1));
        pds.deliver_mail().await;
        assert_eq!(transport.tries(), tries - 1, "not before its time");
        pds.crash().await;
        pds.advance(Duration::from_secs(1));
        pds.deliver_mail().await;
        assert_eq!(transport.tries(), tries);
    }
    pds.restart().await;
    pds.deliver_mail().await;
    assert_eq!((transport.tries(), transport.sent()), (4, 1));
    let status = pds.app().mail.status().await.unwrap();
    assert_eq!(status.outbox.waiting, 0);
    let letter = transport.sent.lock().unwrap()[0].clone();
    assert!(letter.html.contains("Test PDS") && letter.text.contains("@alice.test"));
}

#[tokio::test]
async fn a_refused_letter_is_given_up_and_one_that_hangs_is_put_off() {
    let transport = Scripted::with(&[Step::Refuse, Step::Hang]);
    let pds = TestPds::options().mail_transport(Arc::<Scripted>::clone(&transport)).start().await;
    let alice = pds.account("alice").await;
    notice(&pds, "nobody@mail.test", &alice).await.unwrap();
    pds.deliver_mail().await;
    let status = pds.app().mail.status().await.unwrap();
    assert_eq!((status.outbox.waiting, status.last_error.unwrap().1.as_str()), (0, "no such mailbox"));
    // The worker is stuck with it until its time is over; requests are not.
    notice(&pds, &alice.email, &alice).await.unwrap();
    let delivered = pds.deliver_mail();
    let time = async {
        while transport.tries() < 2 {
            tokio::task::yield_now().await;
        }
        pds.account("bob").await;
        pds.advance(MINUTE);
    };
    tokio::join!(delivered, time);
    pds.advance(Duration::from_secs(5));
    pds.deliver_mail().await;
    assert_eq!((transport.tries(), transport.sent()), (3, 1));
}

#[tokio::test]
async fn a_letter_whose_code_is_dead_is_not_sent() {
    let transport = Scripted::with(&[Step::PutOff; 20]);
    let pds = TestPds::options().mail_transport(Arc::<Scripted>::clone(&transport)).start().await;
    let alice = pds.account("alice").await;
    send(&pds, &alice, Purpose::ResetPassword).await.unwrap();
    pds.deliver_mail().await;
    transport.steps.lock().unwrap().clear();
    pds.advance(15 * MINUTE);
    pds.deliver_mail().await;
    assert_eq!((transport.sent(), pds.app().mail.status().await.unwrap().outbox.waiting), (0, 0));
}

#[tokio::test]
async fn without_a_mail_server_letters_wait_and_nothing_fails() {
    let pds = TestPds::options().config(|config| config.dev_mode = false).start().await;
    let alice = pds.account("alice").await;
    send(&pds, &alice, Purpose::ConfirmEmail).await.unwrap();
    pds.deliver_mail().await;
    let status = pds.app().mail.status().await.unwrap();
    assert!(!status.is_sent && status.outbox.waiting == 1 && status.last_error.is_none());
}

#[tokio::test]
async fn a_recipient_gets_three_letters_of_a_kind_in_an_hour_and_ten_in_a_day() {
    let pds = counted().start().await;
    let alice = pds.account("alice").await;
    for day in 0..2 {
        let mut sent = 0;
        for hour in 0..6 {
            for _ in 0..5 {
                match send(&pds, &alice, Purpose::UpdateEmail).await {
                    Ok(()) => sent += 1,
                    Err(SendCodeError::TooMany) => {}
                    Err(other) => panic!("{other}"),
                }
            }
            assert_eq!(sent, (3 * (hour + 1)).min(10), "day {day}, hour {hour}");
            pds.advance(60 * MINUTE);
        }
        pds.advance(19 * 60 * MINUTE);
    }
    send(&pds, &alice, Purpose::DeleteAccount).await.unwrap();
    let code = pds.code_mailed_to(&alice.email).await;
    for _ in 0..3 {
        // What is refused leaves the code that was mailed as good as it was.
        let _ = send(&pds, &alice, Purpose::DeleteAccount).await;
    }
    let newest = pds.code_mailed_to(&alice.email).await;
    assert!(matches!(send(&pds, &alice, Purpose::DeleteAccount).await, Err(SendCodeError::TooMany)));
    assert_ne!(code, newest);
    redeem(&pds, &alice, Purpose::DeleteAccount, &newest).await.unwrap();
}

#[tokio::test]
async fn too_many_notices_are_left_out_and_refuse_nothing() {
    let pds = counted().start().await;
    let alice = pds.account("alice").await;
    for _ in 0..12 {
        notice(&pds, &alice.email, &alice).await.unwrap();
        pds.deliver_mail().await;
    }
    assert_eq!(pds.mail().await.len(), 10);
}

#[tokio::test]
async fn an_account_does_not_reach_ever_other_mailboxes() {
    let pds = counted().start().await;
    let alice = pds.account("alice").await;
    let mut posted = 0;
    for n in 0..40 {
        let mut txn = Txn::new();
        let code = pds.app().email_codes.issue(&mut txn, &alice.did, Purpose::ConfirmEmail);
        let content = Content::Code { purpose: Purpose::ConfirmEmail, handle: alice.handle.clone(), code };
        let letter = Letter { to: format!("victim{n}@mail.test"), account: Some(alice.did.clone()), content };
        pds.app().mail.post(&mut txn, letter);
        match pds.app().db.commit(txn).await {
            Ok(_) => posted += 1,
            Err(CommitError::Conflict(ConflictKey::TooManyEmails)) => {}
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!(posted, 20);
}

#[tokio::test]
async fn a_letter_is_posted_once_and_not_without_what_it_is_about() {
    let transport = Scripted::with(&[Step::PutOff; 4]);
    let pds = TestPds::options().mail_transport(Arc::<Scripted>::clone(&transport)).start().await;
    let alice = pds.account("alice").await;
    for _ in 0..3 {
        let mut txn = Txn::new();
        let content = Content::FromOperator { subject: "Hello".to_owned(), body: "<p>all</p>".to_owned() };
        pds.app().mail.post(&mut txn, Letter { to: alice.email.clone(), account: None, content });
        pds.app().db.commit(txn).await.unwrap();
        pds.deliver_mail().await;
    }
    let mut txn = Txn::new();
    let content = Content::PasswordChanged { handle: alice.handle.clone() };
    pds.app().mail.post(&mut txn, Letter { to: alice.email.clone(), account: None, content });
    allod_store::tables::accounts::assert_absent(&mut txn, &alice.did);
    assert!(matches!(pds.app().db.commit(txn).await, Err(CommitError::Conflict(ConflictKey::AccountExists))));
    assert_eq!(pds.app().mail.status().await.unwrap().outbox.waiting, 1);
}

#[tokio::test]
async fn what_is_over_is_forgotten() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    send(&pds, &alice, Purpose::ConfirmEmail).await.unwrap();
    pds.mail().await;
    pds.advance(25 * 60 * MINUTE);
    pds.do_jobs().await;
    let count = |sql: &'static str| {
        let app = Arc::clone(pds.app());
        async move {
            let rows = app.db.read(allod_store::Statement::new(sql, Vec::new())).await.unwrap();
            rows[0].get::<i64>(0).unwrap()
        }
    };
    assert_eq!(count("SELECT COUNT(*) FROM mail_posted").await, 0);
    assert_eq!(count("SELECT COUNT(*) FROM email_codes").await, 0);
}
