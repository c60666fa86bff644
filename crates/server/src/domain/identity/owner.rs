//! did:plc operations that an account's owner asks for: signed by this server, sent through it.

use std::sync::Arc;

use allod_atproto::{
    Did,
    plc::{Operation, UnsignedPlcOperation},
};
use allod_net::lookups;
use allod_store::{
    Txn,
    tables::{accounts::Account, signing_keys},
};
use serde_json::Value as Json;

use super::{
    changes::{ChangeError, Planned, Turn},
    operations,
    published::{self, Misfit, Published, PublishedError, Requirements},
};
use crate::{
    app::App,
    domain::{
        email_codes::{CodeError, Purpose},
        mail::SendCodeError,
    },
};

/// What an owner wants a new operation to say; what is not given stays as it is.
#[derive(Debug, Default)]
pub struct Wishes {
    /// Who may change the identity from then on.
    pub rotation_keys: Option<Vec<String>>,
    /// The names it claims.
    pub also_known_as: Option<Vec<String>>,
    /// Its keys by name.
    pub verification_methods: Option<Json>,
    /// Its services by name.
    pub services: Option<Json>,
}

/// Why no code was mailed.
#[derive(Debug, thiserror::Error)]
pub enum RequestCodeError {
    /// The DID is no did:plc.
    #[error("Only a did:plc is changed by operations")]
    NotPlc,
    /// The letter was not posted.
    #[error(transparent)]
    Send(#[from] SendCodeError),
}

/// Why no operation was signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// No code was given.
    #[error("email confirmation token required to sign PLC operations")]
    CodeMissing,
    /// The DID is kept by its owner.
    #[error("Only a did:plc is changed by operations")]
    NotPlc,
    /// The code is not taken.
    #[error(transparent)]
    Code(#[from] CodeError),
    /// There is nothing to be signed after, or it would be no valid operation.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Mails the code that an operation is signed with.
pub async fn request_code(app: &App, account: &Account) -> Result<(), RequestCodeError> {
    if !published::is_plc(&account.did) {
        return Err(RequestCodeError::NotPlc);
    }
    Ok(app.mail.send_code(account, Purpose::PlcOperation).await?)
}

/// Signs an operation that changes an account's identity, and sends it nowhere. Uses the code up.
pub async fn sign(app: &App, account: &Account, code: Option<&str>, wishes: Wishes) -> Result<Json, SignError> {
    if !published::is_plc(&account.did) {
        return Err(SignError::NotPlc);
    }
    let code = code.filter(|code| !code.trim().is_empty()).ok_or(SignError::CodeMissing)?;
    let (before, prev) = operations::current(app, &account.did).await?;
    let mut wanted = UnsignedPlcOperation::from_data(before.clone(), Some(prev)).sign(&app.rotation_key).to_json();
    let given = [
        ("rotationKeys", wishes.rotation_keys.map(Json::from)),
        ("alsoKnownAs", wishes.also_known_as.map(Json::from)),
        ("verificationMethods", wishes.verification_methods),
        ("services", wishes.services),
    ];
    for (field, value) in given {
        if let (Some(value), Some(fields)) = (value, wanted.as_object_mut()) {
            fields.insert(field.to_owned(), value);
        }
    }
    // Read as an operation that a stranger brings, so that only what a directory would take is signed.
    let read = Operation::parse(&wanted).map_err(|error| ChangeError::Operation(error.to_string()))?;
    let data = read.data().ok_or_else(|| ChangeError::Operation("not a plc_operation".to_owned()))?;
    let operation = operations::sign(app, &before, data, prev)?;
    let mut txn = Txn::new();
    app.email_codes.redeem(&mut txn, &account.did, Purpose::PlcOperation, code).await?;
    app.db.commit(txn).await.map_err(CodeError::from)?;
    Ok(operation.to_json())
}

/// Why an operation was not sent. The texts are the reference's, but for that of [`SubmitError::NotPlc`].
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// It is none, or breaks a rule of did:plc.
    #[error("Invalid operation")]
    Invalid,
    /// The DID is no did:plc.
    #[error("Only a did:plc is changed by operations")]
    NotPlc,
    /// This server could not change the identity any more.
    #[error("Rotation keys do not include server's rotation key")]
    RotationKey,
    /// The service is not there, or another kind of service.
    #[error("Incorrect type on atproto_pds service")]
    ServiceType,
    /// The service is elsewhere.
    #[error("Incorrect endpoint on atproto_pds service")]
    Endpoint,
    /// The key is not the one that signs here.
    #[error("Incorrect signing key")]
    SigningKey,
    /// The handle that counts is not the account's.
    #[error("Incorrect handle in alsoKnownAs")]
    Handle,
    /// The change itself.
    #[error(transparent)]
    Change(#[from] ChangeError),
}

/// Sends an operation to the directory that leaves the account working here, and tells the network. Runs to its end
/// even when the caller goes away.
pub async fn submit(app: &Arc<App>, did: &Did, operation: &Json) -> Result<(), SubmitError> {
    if !published::is_plc(did) {
        return Err(SubmitError::NotPlc);
    }
    let operation = Operation::parse(operation).map_err(|_| SubmitError::Invalid)?;
    operation.check_new().map_err(|_| SubmitError::Invalid)?;
    let (app, did) = (Arc::clone(app), did.clone());
    let task = lookups::spawn(async move { carry_out(&app, &did, operation).await });
    task.await.map_err(|error| ChangeError::Internal(error.to_string()))?
}

async fn carry_out(app: &Arc<App>, did: &Did, operation: Operation) -> Result<(), SubmitError> {
    let (turn, account) = Turn::begin(app, did).await?;
    check(app, &account, &operation).await?;
    let (_, last) = operations::current(app, did).await?;
    if operation.cid() == last {
        // Sent before, by whoever did not get the answer.
        return Ok(turn.adopt_handle(&account, &account.handle).await?);
    }
    Ok(turn.submit(&account, Planned { operation, handle: None, key: None }).await?)
}

async fn check(app: &App, account: &Account, operation: &Operation) -> Result<(), SubmitError> {
    let data = operation.data().ok_or(SubmitError::Invalid)?;
    let published = Published::of(&data);
    let key = signing_keys::by_did(&*app.db, &account.did).await.map_err(ChangeError::from)?;
    let key = key.ok_or_else(|| ChangeError::from(PublishedError::NoKey(account.did.clone())))?;
    let required = Requirements::new(app, &account.handle, Some(key.did_key));
    match published.misfits(&required).first() {
        None => Ok(()),
        Some(Misfit::RotationKey) => Err(SubmitError::RotationKey),
        Some(Misfit::Endpoint) if published.endpoint.is_none() => Err(SubmitError::ServiceType),
        Some(Misfit::Endpoint) => Err(SubmitError::Endpoint),
        Some(Misfit::SigningKey) => Err(SubmitError::SigningKey),
        Some(Misfit::Handle) => Err(SubmitError::Handle),
    }
}
