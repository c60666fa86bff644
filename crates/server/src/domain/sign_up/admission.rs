//! Who may sign up: every check that needs no write, in order.

use allod_atproto::{Did, Handle, crypto::DidKey};
use allod_base::{clock, secret::Secret};
use allod_net::resolver::{Freshness, ResolveError};
use allod_store::tables::accounts;

use super::{
    Caller, SignUpError, SignUpRequest, Waiter, hosted,
    operation::{self, Identity},
};
use crate::{
    app::App,
    domain::{
        captcha::{CaptchaError, CaptchaGate, Solved},
        emails::EmailAddress,
        handles::AdmissibleHandle,
        identity_lookup::DocumentError,
        phone::{PhoneError, PhoneGate, Verified},
        service_auth::ServicePrincipal,
    },
};

/// Somebody who may sign up, as far as could be told without writing.
pub(super) struct Applicant {
    pub(super) handle: Handle,
    pub(super) email: Option<EmailAddress>,
    pub(super) password: Secret<String>,
    pub(super) invite_code: Option<String>,
    pub(super) identity: Identity,
    /// The token to be used up.
    pub(super) token: Option<ServicePrincipal>,
    /// The telephone number that was verified.
    pub(super) phone: Option<Verified>,
    /// The captcha that was solved.
    pub(super) captcha: Option<Solved>,
    /// Whether the account waits in the sign-up queue.
    pub(super) waits: bool,
    /// Who waits for the end of the sign-up.
    pub(super) waiter: Waiter,
}

/// Checks a request.
pub(super) async fn admit(app: &App, request: SignUpRequest) -> Result<Applicant, SignUpError> {
    let (evidence, waiter) = (evidence(app, &request)?, request.waiter());
    let invite_code = check_invite(app, &request).await?;
    let password = check_password(app, request.password)?;
    let email = check_email(app, request.email.as_deref())?;
    let admissible = if request.reserved_allowed {
        app.handles.admit_by_operator(&request.handle)?
    } else {
        app.handles.admit(&request.handle)?
    };
    let recovery_key = check_recovery_key(request.recovery_key.as_deref())?;

    let brings_identity = request.did.is_some() || request.plc_op.is_some();
    if !brings_identity && matches!(admissible, AdmissibleHandle::Own(_)) {
        return Err(SignUpError::UnsupportedDomain);
    }
    check_free(app, admissible.handle(), request.did.as_ref(), email.as_ref()).await?;

    let (identity, token) = match (request.did, request.plc_op) {
        (None, None) => {
            check_unused_token(request.caller)?;
            (operation::genesis(app, admissible.handle(), recovery_key)?, None)
        }
        (Some(did), None) if hosted::is_to_be_made(app, &did, &admissible, &request.caller).await? => {
            check_unused_token(request.caller)?;
            if recovery_key.is_some() {
                return Err(SignUpError::RecoveryKeyUnused);
            }
            (Identity::Hosted(hosted::make(app, did, admissible.handle()).await?), None)
        }
        (Some(did), None) => {
            let principal = check_caller(request.caller, &did)?;
            (moving_in(app, did).await?, Some(principal))
        }
        (did, Some(plc_op)) => {
            let brought = operation::check_brought(app, &plc_op, did.as_ref(), admissible.handle()).await?;
            if brought.is_update() {
                let principal = check_caller(request.caller, brought.did())?;
                (brought, Some(principal))
            } else {
                check_unused_token(request.caller)?;
                (brought, None)
            }
        }
    };
    // Whoever was invited is expected.
    let waits = app.config.sign_up.queue.is_some() && !request.by_operator && invite_code.is_none();
    if waits && identity.is_update() {
        return Err(SignUpError::OperationCantWait);
    }
    if let AdmissibleHandle::Own(handle) = &admissible {
        check_own_domain(app, handle, identity.did()).await?;
    }
    // Last, for what is right is used up by asking.
    let (phone, captcha) = match evidence {
        Evidence::NotNeeded => (None, None),
        Evidence::Phone { gate, number, code } => (Some(gate.verify(&number, &code).await?), None),
        Evidence::Captcha { gate, token } => (None, Some(gate.verify(&token, request.address).await?)),
    };
    let handle = admissible.handle().clone();
    Ok(Applicant { handle, email, password, invite_code, identity, token, phone, captcha, waits, waiter })
}

/// What was sent to show that a person signs up.
enum Evidence<'a> {
    NotNeeded,
    Phone { gate: &'a PhoneGate, number: String, code: String },
    Captcha { gate: &'a CaptchaGate, token: String },
}

/// Picks the evidence that the configuration requires and ignores the rest. Verifies nothing yet.
fn evidence<'a>(app: &'a App, request: &SignUpRequest) -> Result<Evidence<'a>, SignUpError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.trim().is_empty());
    let (number, code) = (given(&request.verification_phone), given(&request.verification_code));
    if request.by_operator {
        return Ok(Evidence::NotNeeded);
    }
    if let Some(gate) = &app.captcha {
        return code.map(|token| Evidence::Captcha { gate, token }).ok_or_else(|| CaptchaError::Missing.into());
    }
    match (&app.phone, number, code) {
        (None, ..) => Ok(Evidence::NotNeeded),
        (Some(gate), Some(number), Some(code)) => Ok(Evidence::Phone { gate, number, code }),
        (Some(_), ..) => Err(PhoneError::Missing.into()),
    }
}

/// A wrong code is refused also where none is needed.
async fn check_invite(app: &App, request: &SignUpRequest) -> Result<Option<String>, SignUpError> {
    let code = request.invite_code.as_deref().map(str::trim).filter(|code| !code.is_empty());
    let Some(code) = code else {
        let needed = app.config.sign_up.invite_required && !request.by_operator;
        return if needed { Err(SignUpError::InviteMissing) } else { Ok(None) };
    };
    if app.invites.is_usable(code).await? { Ok(Some(code.to_owned())) } else { Err(SignUpError::InviteUnusable) }
}

fn check_password(app: &App, password: Option<Secret<String>>) -> Result<Secret<String>, SignUpError> {
    let (min, max) = (app.config.sign_up.password_chars_min, app.config.sign_up.password_chars_max);
    let password = password.filter(|password| !password.expose().is_empty()).ok_or(SignUpError::PasswordMissing)?;
    match password.expose().chars().count() {
        chars if chars < min => Err(SignUpError::PasswordTooShort(min)),
        chars if chars > max => Err(SignUpError::PasswordTooLong(max)),
        _ => Ok(password),
    }
}

fn check_email(app: &App, email: Option<&str>) -> Result<Option<EmailAddress>, SignUpError> {
    match email.map(str::trim).filter(|email| !email.is_empty()) {
        Some(email) => Ok(Some(app.emails.admit(email)?)),
        None if app.config.sign_up.email_required => Err(SignUpError::EmailMissing),
        None => Ok(None),
    }
}

fn check_recovery_key(recovery_key: Option<&str>) -> Result<Option<DidKey>, SignUpError> {
    let recovery_key = recovery_key.map(str::trim).filter(|key| !key.is_empty());
    recovery_key.map(DidKey::parse).transpose().map_err(|_| SignUpError::RecoveryKey)
}

/// A courtesy that spares work; what decides is the reservation.
///
/// Both names are held in one transaction: looked up in this order, whoever loses to an equal request hears of the
/// handle.
async fn check_free(
    app: &App,
    handle: &Handle,
    did: Option<&Did>,
    email: Option<&EmailAddress>,
) -> Result<(), SignUpError> {
    let email_holder = match email {
        Some(email) => accounts::email_holder(&*app.db, email.as_str()).await?,
        None => None,
    };
    let now = clock::to_store(app.clock.now_micros());
    if let Some((holder, until)) = accounts::handle_hold(&*app.db, handle).await? {
        // What was had lately waits for whoever had it.
        let is_free = until.is_some_and(|until| until <= now || did.is_some_and(|did| did.as_str() == holder));
        if !is_free {
            return Err(SignUpError::HandleTaken(handle.clone()));
        }
    }
    match email.filter(|_| email_holder.is_some()) {
        Some(email) => Err(SignUpError::EmailTaken(email.as_typed().to_owned())),
        None => Ok(()),
    }
}

/// A token that was sent and can't be checked opens nothing, also where none is needed.
fn check_unused_token(caller: Caller) -> Result<(), SignUpError> {
    match caller {
        Caller::Anonymous | Caller::Verified(_) => Ok(()),
        Caller::Unresolvable(issuer) => Err(SignUpError::UnresolvableDid(issuer)),
        Caller::NoKey(_) => Err(no_signing_key()),
    }
}

fn no_signing_key() -> SignUpError {
    SignUpError::IncompatibleDidDoc("DID document has no usable atproto signing key".to_owned())
}

fn check_caller(caller: Caller, did: &Did) -> Result<ServicePrincipal, SignUpError> {
    match caller {
        Caller::Verified(principal) if principal.did == *did => Ok(principal),
        Caller::Unresolvable(issuer) if issuer == *did => Err(SignUpError::UnresolvableDid(issuer)),
        Caller::NoKey(issuer) if issuer == *did => Err(no_signing_key()),
        Caller::Anonymous | Caller::Verified(_) | Caller::Unresolvable(_) | Caller::NoKey(_) => {
            Err(SignUpError::AuthMissing(did.clone()))
        }
    }
}

/// An existing DID moves in without an operation of its own: its document may still point elsewhere, or here already,
/// with a key of its owner's.
async fn moving_in(app: &App, did: Did) -> Result<Identity, SignUpError> {
    let document = app.identities.resolve_document(&did, Freshness::Fresh).await.map_err(|error| match error {
        DocumentError::Resolve(ResolveError::Unsupported(_)) => {
            SignUpError::IncompatibleDidDoc("DID method is not one that accounts can have".to_owned())
        }
        DocumentError::Resolve(ResolveError::NotFound(did) | ResolveError::Unavailable { did, .. }) => {
            SignUpError::UnresolvableDid(did)
        }
        DocumentError::Read(error) => error.into(),
    })?;
    operation::move_in(app, did, &document).await
}

async fn check_own_domain(app: &App, handle: &Handle, did: &Did) -> Result<(), SignUpError> {
    match app.resolver.handle(handle).await {
        Ok(Some(owner)) if owner == *did => Ok(()),
        Ok(_) | Err(_) => Err(SignUpError::HandleUnresolved),
    }
}
