//! Codes for development: made here, kept in memory, shown among the captured mail.

use std::{collections::HashMap, sync::Arc};

use allod_base::{
    clock::{Clock, MICROS_PER_SEC},
    randomness::{self, Randomness},
};
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use subtle::ConstantTimeEq;

use crate::{
    domain::{
        mail::{Mailbox, Message},
        phone::{CODE_SECS, PhoneNumber, ProviderError, Verifier},
    },
    limits::DEV_PHONE_CODES_MAX,
};

/// How often a code may be typed wrong.
const TRIES_MAX: u32 = 5;

struct Sent {
    code: String,
    ends_micros: u64,
    tries_left: u32,
}

/// Makes codes and shows them.
pub struct DevCodes {
    mailbox: Arc<Mailbox>,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
    sent: Mutex<HashMap<PhoneNumber, Sent>>,
}

impl DevCodes {
    /// Shows codes in this mailbox.
    pub fn new(mailbox: Arc<Mailbox>, clock: Arc<dyn Clock>, randomness: Arc<dyn Randomness>) -> Self {
        Self { mailbox, clock, randomness, sent: Mutex::default() }
    }

    fn send(&self, number: &PhoneNumber) {
        let code = format!("{:06}", u32::from_be_bytes(randomness::bytes(&*self.randomness)) % 1_000_000);
        let now = self.clock.now_micros();
        let mut sent = self.sent.lock();
        if sent.len() >= DEV_PHONE_CODES_MAX {
            sent.clear();
        }
        let ends_micros = now + CODE_SECS * MICROS_PER_SEC;
        sent.insert(number.clone(), Sent { code: code.clone(), ends_micros, tries_left: TRIES_MAX });
        self.mailbox.deliver(Message {
            id: format!("phone-{now}"),
            to: number.as_str().to_owned(),
            subject: "Your verification code".to_owned(),
            text: format!("This text message would have been sent:\n\n    {code}\n"),
            html: format!("<p>This text message would have been sent:</p><p><b>{code}</b></p>"),
            time_micros: now,
        });
    }

    fn check(&self, number: &PhoneNumber, code: &str) -> bool {
        let mut codes = self.sent.lock();
        let Some(sent) = codes.get_mut(number) else { return false };
        let is_right =
            sent.ends_micros > self.clock.now_micros() && bool::from(sent.code.as_bytes().ct_eq(code.as_bytes()));
        sent.tries_left -= 1;
        if is_right || sent.tries_left == 0 {
            codes.remove(number);
        }
        is_right
    }
}

impl Verifier for DevCodes {
    fn send<'a>(&'a self, number: &'a PhoneNumber) -> BoxFuture<'a, Result<(), ProviderError>> {
        self.send(number);
        Box::pin(std::future::ready(Ok(())))
    }

    fn check<'a>(&'a self, number: &'a PhoneNumber, code: &'a str) -> BoxFuture<'a, Result<bool, ProviderError>> {
        Box::pin(std::future::ready(Ok(self.check(number, code))))
    }
}
