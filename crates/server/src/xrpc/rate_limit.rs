//! Which methods are limited, by what, and how a caller is told.
//!
//! Counted are calls whose parameters, caller and body are in order, before anything is done for them. The figures are
//! the reference's.

use std::{fmt, net::IpAddr};

use allod_http::address::network;
use allod_lexicon::Method;
use http::{HeaderMap, HeaderName, HeaderValue};
use subtle::ConstantTimeEq;

use super::{
    RouteState, XrpcRequest,
    error::{CommonError, XrpcError},
};
use crate::{
    access,
    config::RateLimitConfig,
    domain::rate_limits::{RateLimits, Rule, Standing},
    service::RequestContext,
};

const MINUTES_5: u32 = 5 * 60;
/// One hour.
pub const HOUR: u32 = 60 * 60;
/// One day.
pub const DAY: u32 = 24 * HOUR;

/// All calls of one address, but for those of methods with a rule of their own.
const ALL_CALLS: Rule = Rule { name: "all calls", points: 3_000, window_secs: MINUTES_5 };

/// The header with which an operator's own tools pass.
const BYPASS_HEADER: HeaderName = HeaderName::from_static("x-ratelimit-bypass");

/// A rule for calls of method `M` by callers of kind `A`.
pub struct Limit<M: Method, A> {
    /// The rule.
    pub rule: Rule,
    /// Who is counted together; `None` is not counted.
    pub key: fn(&XrpcRequest<M, A>) -> Option<String>,
    /// How many points a call takes.
    pub cost: fn(&XrpcRequest<M, A>) -> u32,
}

impl<M: Method, A> Limit<M, A> {
    /// A rule under which every call takes one point.
    pub const fn new(rule: Rule, key: fn(&XrpcRequest<M, A>) -> Option<String>) -> Self {
        Self { rule, key, cost: |_| 1 }
    }
}

impl<M: Method, A> fmt::Debug for Limit<M, A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Limit").field(&self.rule).finish()
    }
}

/// Names a caller's address, when callers there are counted by it.
pub fn address(context: &RequestContext) -> Option<String> {
    context.is_counted.then(|| network(context.client).to_string())
}

/// Counts a call by its address.
pub fn by_address<M: Method, A>(request: &XrpcRequest<M, A>) -> Option<String> {
    address(&request.context)
}

/// Counts a call of any method, but for such as have a rule of their own instead.
pub(super) fn count_call<S: RouteState>(
    state: &S,
    headers: &HeaderMap,
    context: &RequestContext,
    name: &str,
) -> Option<Standing> {
    let (limits, _) = counting(state, headers, context.client)?;
    Some(noted(limits.count(ALL_CALLS, &address(context)?, 1)?, context, name))
}

/// Counts a call under the method's rules, in order; the standing is that which leaves least, or the first that is
/// exceeded.
pub(super) fn count<S: RouteState, M: Method, A>(
    state: &S,
    limited: &[Limit<M, A>],
    request: &XrpcRequest<M, A>,
) -> Option<Standing> {
    if limited.is_empty() {
        return None;
    }
    let (limits, _) = counting(state, &request.headers, request.context.client)?;
    let mut tightest = None;
    for limit in limited {
        let Some(key) = (limit.key)(request) else { continue };
        let Some(standing) = limits.count(limit.rule, &key, (limit.cost)(request)) else { continue };
        let standing = noted(standing, &request.context, M::NSID);
        if standing.is_exceeded {
            // A refused call takes no points of the rules behind, which may be others' too.
            return Some(standing);
        }
        tightest = Some(tightest.map_or(standing, |before| tighter(before, standing)));
    }
    tightest
}

/// Logs a limit that was reached just now.
fn noted(standing: Standing, context: &RequestContext, method: &str) -> Standing {
    if standing.is_newly_exceeded {
        access::limit_reached(context, method, standing.rule.name);
    }
    standing
}

/// Of two standings that which matters more to the caller.
pub(super) fn tighter(one: Standing, other: Standing) -> Standing {
    let key = |standing: &Standing| (!standing.is_exceeded, standing.remaining);
    if key(&other) < key(&one) { other } else { one }
}

fn counting<'a, S: RouteState>(
    state: &'a S,
    headers: &HeaderMap,
    client: IpAddr,
) -> Option<(&'a RateLimits, &'a RateLimitConfig)> {
    let (limits, config) = state.rate_limits()?;
    if !limits.is_on() || config.bypass_networks.iter().any(|network| network.contains(&client)) {
        return None;
    }
    let shown = headers.get(BYPASS_HEADER);
    let passes = shown
        .zip(config.bypass_key.as_ref())
        .is_some_and(|(shown, key)| bool::from(shown.as_bytes().ct_eq(key.expose().as_bytes())));
    (!passes).then_some((limits, config))
}

/// Refuses a call when the standing is exceeded.
pub(super) fn refuse<E>(standing: Option<&Standing>) -> Result<(), XrpcError<E>> {
    match standing {
        Some(standing) if standing.is_exceeded => Err(XrpcError::common(
            CommonError::RateLimitExceeded { retry_after_secs: standing.resets_in_secs },
            "Rate Limit Exceeded",
        )),
        Some(_) | None => Ok(()),
    }
}

/// Tells the caller where it stands.
pub(super) fn tell(standing: Option<&Standing>, headers: &mut HeaderMap) {
    let Some(standing) = standing else { return };
    let Rule { points, window_secs, .. } = standing.rule;
    headers.insert("ratelimit-limit", HeaderValue::from(points));
    headers.insert("ratelimit-remaining", HeaderValue::from(standing.remaining));
    headers.insert("ratelimit-reset", HeaderValue::from(standing.resets_at_secs));
    if let Ok(policy) = HeaderValue::from_str(&format!("{points};w={window_secs}")) {
        headers.insert("ratelimit-policy", policy);
    }
}

/// The rules of single methods.
pub mod rules {
    use allod_lexicon::com_atproto::{
        account::{request_password_reset as old_request_reset, reset_password as old_reset},
        identity::{refresh_identity::RefreshIdentity, update_handle::UpdateHandle},
        repo::{
            apply_writes::{ApplyWrites, InputWritesItem},
            create_record::CreateRecord,
            delete_record::DeleteRecord,
            put_record::PutRecord,
            upload_blob::UploadBlob,
        },
        server::{
            confirm_email::ConfirmEmail, create_account::CreateAccount, create_session::CreateSession,
            delete_account::DeleteAccount, request_account_delete::RequestAccountDelete,
            request_email_confirmation::RequestEmailConfirmation, request_email_update::RequestEmailUpdate,
            request_password_reset::RequestPasswordReset, reset_password::ResetPassword, update_email::UpdateEmail,
        },
        sync::get_repo::GetRepo,
        temp::request_phone_verification::RequestPhoneVerification,
    };

    use super::{DAY, HOUR, Limit, MINUTES_5, RequestContext, Rule, XrpcRequest, address, by_address};
    use crate::{
        domain::{emails, phone::PhoneNumber},
        xrpc::auth::{Access, Anonymous, FullAccess, RepoReader, SignUpCaller, Uploader},
    };

    const WRITES_HOUR: Rule = Rule { name: "writes an hour", points: 5_000, window_secs: HOUR };
    const WRITES_DAY: Rule = Rule { name: "writes a day", points: 35_000, window_secs: DAY };
    const CREATE_POINTS: u32 = 3;
    const UPDATE_POINTS: u32 = 2;
    const DELETE_POINTS: u32 = 1;

    /// An account's writes: creations count three, updates two, deletions one.
    const fn writes<M: allod_lexicon::Method>(cost: fn(&XrpcRequest<M, Access>) -> u32) -> [Limit<M, Access>; 2] {
        [
            Limit { rule: WRITES_HOUR, key: |request| Some(request.auth.0.account.did.to_string()), cost },
            Limit { rule: WRITES_DAY, key: |request| Some(request.auth.0.account.did.to_string()), cost },
        ]
    }

    /// createRecord.
    pub static CREATE_RECORD: [Limit<CreateRecord, Access>; 2] = writes(|_| CREATE_POINTS);
    /// putRecord.
    pub static PUT_RECORD: [Limit<PutRecord, Access>; 2] = writes(|_| UPDATE_POINTS);
    /// deleteRecord.
    pub static DELETE_RECORD: [Limit<DeleteRecord, Access>; 2] = writes(|_| DELETE_POINTS);
    /// applyWrites.
    pub static APPLY_WRITES: [Limit<ApplyWrites, Access>; 2] = writes(|request| {
        let points = request.input.writes.iter().map(|write| match write {
            InputWritesItem::Create(_) => CREATE_POINTS,
            InputWritesItem::Update(_) => UPDATE_POINTS,
            InputWritesItem::Delete(_) => DELETE_POINTS,
        });
        points.sum()
    });

    /// uploadBlob, by account.
    pub static UPLOAD_BLOB: [Limit<UploadBlob, Uploader>; 1] =
        [Limit::new(Rule { name: "uploads", points: 1_000, window_secs: DAY }, |request| {
            Some(request.auth.0.to_string())
        })];

    /// createAccount, by address, and by the telephone number that codes are tried for, as [`number_and_address`].
    pub static CREATE_ACCOUNT: [Limit<CreateAccount, SignUpCaller>; 3] = [
        Limit::new(Rule { name: "sign-ups", points: 100, window_secs: MINUTES_5 }, by_address),
        Limit::new(Rule { name: "phone codes tried", points: 20, window_secs: HOUR }, |request| {
            number_and_address(request.input.verification_phone.as_deref()?, &request.context)
        }),
        Limit::new(Rule { name: "phone codes tried of a number", points: 200, window_secs: HOUR }, |request| {
            number(request.input.verification_phone.as_deref()?)
        }),
    ];

    /// requestPhoneVerification, by number and by address: every code costs the operator, and wakes somebody up.
    pub static REQUEST_PHONE_VERIFICATION: [Limit<RequestPhoneVerification, Anonymous>; 6] = [
        Limit::new(Rule { name: "phone codes", points: 5, window_secs: HOUR }, |request| {
            number_and_address(&request.input.phone_number, &request.context)
        }),
        Limit::new(Rule { name: "phone codes a day", points: 10, window_secs: DAY }, |request| {
            number_and_address(&request.input.phone_number, &request.context)
        }),
        Limit::new(Rule { name: "phone codes of an address", points: 20, window_secs: HOUR }, by_address),
        Limit::new(Rule { name: "phone codes of an address a day", points: 60, window_secs: DAY }, by_address),
        Limit::new(Rule { name: "phone codes of a number", points: 20, window_secs: HOUR }, |request| {
            number(&request.input.phone_number)
        }),
        Limit::new(Rule { name: "phone codes of a number a day", points: 40, window_secs: DAY }, |request| {
            number(&request.input.phone_number)
        }),
    ];

    fn number(text: &str) -> Option<String> {
        PhoneNumber::parse(text).ok().map(|number| number.as_str().to_owned())
    }

    /// A number together with the caller's address: by the number alone, anybody could keep its owner from codes.
    fn number_and_address(text: &str, context: &RequestContext) -> Option<String> {
        Some(format!("{}\0{}", address(context).unwrap_or_default(), number(text)?))
    }

    /// createSession, by what is typed and where: who guesses one account's password from one place.
    pub static CREATE_SESSION: [Limit<CreateSession, Anonymous>; 3] = [
        Limit::new(Rule { name: "sign-ins", points: 30, window_secs: MINUTES_5 }, |request| Some(identifier(request))),
        Limit::new(Rule { name: "sign-ins a day", points: 300, window_secs: DAY }, |request| Some(identifier(request))),
        // Who guesses the passwords of many accounts from one place.
        Limit::new(Rule { name: "sign-ins of an address", points: 300, window_secs: MINUTES_5 }, by_address),
    ];

    fn identifier(request: &XrpcRequest<CreateSession, Anonymous>) -> String {
        let identifier = emails::lookup_key(&request.input.identifier);
        format!("{}\0{identifier}", address(&request.context).unwrap_or_default())
    }

    const MAIL_HOUR: Rule = Rule { name: "letters an hour", points: 5, window_secs: HOUR };
    const MAIL_DAY: Rule = Rule { name: "letters a day", points: 15, window_secs: DAY };
    const RESETS_HOUR: Rule = Rule { name: "reset requests an hour", points: 15, window_secs: HOUR };
    const RESETS_DAY: Rule = Rule { name: "reset requests a day", points: 50, window_secs: DAY };
    const CODES: Rule = Rule { name: "codes tried", points: 50, window_secs: MINUTES_5 };

    fn deletion(request: &XrpcRequest<DeleteAccount, Anonymous>) -> String {
        format!("{}\0{}", address(&request.context).unwrap_or_default(), request.input.did)
    }

    /// requestEmailConfirmation: the letters that an account asks for.
    pub static REQUEST_EMAIL_CONFIRMATION: [Limit<RequestEmailConfirmation, Access>; 2] = [
        Limit::new(MAIL_HOUR, |request| Some(request.auth.0.account.did.to_string())),
        Limit::new(MAIL_DAY, |request| Some(request.auth.0.account.did.to_string())),
    ];
    /// requestEmailUpdate.
    pub static REQUEST_EMAIL_UPDATE: [Limit<RequestEmailUpdate, FullAccess>; 2] = [
        Limit::new(MAIL_HOUR, |request| Some(request.auth.0.account.did.to_string())),
        Limit::new(MAIL_DAY, |request| Some(request.auth.0.account.did.to_string())),
    ];
    /// requestAccountDelete.
    pub static REQUEST_ACCOUNT_DELETE: [Limit<RequestAccountDelete, FullAccess>; 2] = [
        Limit::new(MAIL_HOUR, |request| Some(request.auth.0.account.did.to_string())),
        Limit::new(MAIL_DAY, |request| Some(request.auth.0.account.did.to_string())),
    ];
    /// requestPasswordReset, by address; what one mailbox gets is bounded where the letter is written.
    pub static REQUEST_PASSWORD_RESET: [Limit<RequestPasswordReset, Anonymous>; 2] =
        [Limit::new(RESETS_HOUR, by_address), Limit::new(RESETS_DAY, by_address)];
    /// The same by its old name.
    pub static OLD_REQUEST_PASSWORD_RESET: [Limit<old_request_reset::RequestPasswordReset, Anonymous>; 2] =
        [Limit::new(RESETS_HOUR, by_address), Limit::new(RESETS_DAY, by_address)];
    /// resetPassword: who tries codes.
    pub static RESET_PASSWORD: [Limit<ResetPassword, Anonymous>; 1] = [Limit::new(CODES, by_address)];
    /// The same by its old name.
    pub static OLD_RESET_PASSWORD: [Limit<old_reset::ResetPassword, Anonymous>; 1] = [Limit::new(CODES, by_address)];
    /// confirmEmail.
    pub static CONFIRM_EMAIL: [Limit<ConfirmEmail, Access>; 1] =
        [Limit::new(CODES, |request| Some(request.auth.0.account.did.to_string()))];
    /// updateEmail.
    pub static UPDATE_EMAIL: [Limit<UpdateEmail, FullAccess>; 1] =
        [Limit::new(CODES, |request| Some(request.auth.0.account.did.to_string()))];
    /// deleteAccount, by account and address: who guesses a password or code. By account alone anybody could keep its
    /// owner from the method.
    pub static DELETE_ACCOUNT: [Limit<DeleteAccount, Anonymous>; 3] = [
        Limit::new(CODES, |request| Some(deletion(request))),
        // As many guesses of a password a day as createSession takes.
        Limit::new(Rule { name: "deletions a day", points: 300, window_secs: DAY }, |request| Some(deletion(request))),
        Limit::new(Rule { name: "deletions of an address", points: 300, window_secs: MINUTES_5 }, by_address),
    ];

    /// updateHandle, by account.
    pub static UPDATE_HANDLE: [Limit<UpdateHandle, FullAccess>; 2] = [
        Limit::new(Rule { name: "handle changes", points: 10, window_secs: MINUTES_5 }, |request| {
            Some(request.auth.0.account.did.to_string())
        }),
        Limit::new(Rule { name: "handle changes a day", points: 50, window_secs: DAY }, |request| {
            Some(request.auth.0.account.did.to_string())
        }),
    ];

    /// refreshIdentity, by account: each call asks other servers.
    pub static REFRESH_IDENTITY: [Limit<RefreshIdentity, Access>; 1] =
        [Limit::new(Rule { name: "identity refreshes", points: 60, window_secs: MINUTES_5 }, |request| {
            Some(request.auth.0.account.did.to_string())
        })];

    /// getRepo, by address, in place of the rule for all calls.
    pub static GET_REPO: [Limit<GetRepo, RepoReader>; 1] =
        [Limit::new(Rule { name: "exports", points: 6_000, window_secs: MINUTES_5 }, by_address)];
}
