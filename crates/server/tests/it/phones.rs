//! Servers that ask for a telephone number, and whoever sends the codes.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
};

use allod_base::secret::Secret;
use allod_server::{
    adapters::twilio::TwilioConfig,
    config::{PhoneConfig, Verification},
};
use allod_testkit::{Options, TestPds};
use parking_lot::Mutex;
use serde_json::{Value, json};

use crate::form_server::{FormServer, Posted};

pub(crate) const REQUEST: &str = "com.atproto.temp.requestPhoneVerification";

/// The code that every number gets.
pub(crate) const CODE: &str = "424242";

/// What codes begin with that are right for every number that got one, however often they are shown.
pub(crate) const LASTING_CODES: &str = "9999";

/// A service that behaves as Twilio Verify does, or answers what a test says.
pub(crate) struct Twilio {
    pub(crate) server: FormServer,
    /// A status to answer instead of doing anything, and the error code with it; 0 for none.
    trouble: Arc<(AtomicU16, AtomicU16)>,
}

impl Twilio {
    pub(crate) async fn start() -> Self {
        let trouble = Arc::<(AtomicU16, AtomicU16)>::default();
        let pending = Mutex::<HashMap<String, u32>>::default();
        let told = Arc::clone(&trouble);
        let server = FormServer::start(move |posted| match (told.0.load(Relaxed), told.1.load(Relaxed)) {
            (0, _) => answer(posted, &mut pending.lock()),
            (status, code) => (status, json!({ "code": code, "message": "no", "status": status })),
        })
        .await;
        Self { server, trouble }
    }

    pub(crate) fn answer(&self, status: u16, code: u16) {
        self.trouble.0.store(status, Relaxed);
        self.trouble.1.store(code, Relaxed);
    }

    /// A server that has its codes sent by this service, and lets a number make `accounts_max` accounts.
    pub(crate) fn options(&self, accounts_max: u32) -> Options {
        let twilio = TwilioConfig {
            base_url: self.server.url.clone(),
            account_sid: "AC1".to_owned(),
            auth_token: Secret::new("token".to_owned()),
            service_sid: "VA1".to_owned(),
        };
        required(accounts_max, Some(twilio))
    }
}

/// A server that shows codes among its mail.
pub(crate) fn development() -> Options {
    required(4, None)
}

fn required(accounts_max: u32, twilio: Option<TwilioConfig>) -> Options {
    let phone = PhoneConfig { accounts_max, twilio };
    TestPds::options().config(move |config| config.sign_up.verification = Verification::Phone(phone.clone()))
}

fn answer(posted: &Posted, pending: &mut HashMap<String, u32>) -> (u16, Value) {
    // base64 of "AC1:token".
    if posted.authorization.as_deref() != Some("Basic QUMxOnRva2Vu") {
        return (401, json!({ "code": 20003 }));
    }
    let field = |name: &str| posted.fields.get(name).map(String::as_str);
    let to = field("To").unwrap_or_default().to_owned();
    match posted.path.as_str() {
        "/v2/Services/VA1/Verifications" if field("Channel") == Some("sms") => {
            pending.insert(to, 5);
            (201, json!({ "status": "pending", "valid": false }))
        }
        "/v2/Services/VA1/VerificationCheck" => {
            let is_lasting = field("Code").is_some_and(|code| code.starts_with(LASTING_CODES));
            let Some(tries_left) = pending.get_mut(&to) else { return (404, json!({ "code": 20404 })) };
            if *tries_left == 0 && !is_lasting {
                return (429, json!({ "code": 60202 }));
            }
            *tries_left = tries_left.saturating_sub(1);
            if field("Code") == Some(CODE) {
                pending.remove(&to);
                return (200, json!({ "status": "approved", "valid": true }));
            }
            (200, json!({ "status": if is_lasting { "approved" } else { "pending" }, "valid": is_lasting }))
        }
        _ => (404, json!({ "code": 20404 })),
    }
}

/// Lets a code be sent.
pub(crate) async fn ask(pds: &TestPds, number: &str) {
    let reply = pds.xrpc_post(REQUEST).json(&json!({ "phoneNumber": number })).send().await;
    assert_eq!((reply.status.as_u16(), reply.text()), (200, String::new()));
}
