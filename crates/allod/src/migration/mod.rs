//! Moves an account from another server to one of Allod, with the public methods of both.
//!
//! Every step asks the servers what is done already, so that a move that broke off is taken up by saying the same again.

mod server;

use serde::Serialize;
use serde_json::{Value, json};

pub(crate) use server::{MoveError, Remote};

use server::{Answer, Session};

/// How many blobs one page lists.
const BLOBS_PER_PAGE: &str = "500";

/// What a move needs to know.
pub(crate) struct Plan {
    /// The server that the account is at.
    pub(crate) from: Remote,
    /// The server that it goes to.
    pub(crate) to: Remote,
    /// Who it is there: handle, DID or e-mail address.
    pub(crate) identifier: String,
    /// Its password, at both.
    pub(crate) password: String,
    /// The code of a second factor at the old server.
    pub(crate) auth_factor_code: Option<String>,
    /// The handle to have at the new server; the old one if nothing is said.
    pub(crate) handle: Option<String>,
    /// The address to have at the new server; the old one if nothing is said.
    pub(crate) email: Option<String>,
    /// An invite code of the new server.
    pub(crate) invite_code: Option<String>,
    /// The code that the old server mailed for the change of the identity.
    pub(crate) plc_code: Option<String>,
    /// Whether only to look.
    pub(crate) is_dry_run: bool,
}

/// What came of a move.
#[derive(Debug, Serialize)]
pub(crate) struct Moved {
    /// The account.
    pub(crate) did: String,
    /// Its handle at the new server.
    pub(crate) handle: String,
    /// How far it is.
    pub(crate) state: State,
    /// How many records are at the new server, or would be.
    pub(crate) records: u64,
    /// How many blobs are at the new server, or would be.
    pub(crate) blobs: u64,
    /// What keeps it from being done, or is worth knowing.
    pub(crate) remarks: Vec<String>,
}

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum State {
    /// Nothing was done; it would work.
    Possible,
    /// Nothing was done; it would not work.
    Impossible,
    /// Everything is at the new server; the identity has to be changed with the code that was mailed.
    WaitsForCode,
    /// The account lives at the new server.
    Done,
}

/// Carries a move out, as far as it goes. `tell` hears of every step.
pub(crate) async fn carry_out(plan: &Plan, tell: &mut (dyn FnMut(String) + Send)) -> Result<Moved, MoveError> {
    let old = plan.from.sign_in(&plan.identifier, &plan.password, plan.auth_factor_code.as_deref()).await?;
    let did = old.did.clone();
    tell(format!("signed in as {} ({did}) at {}", old.handle, plan.from));
    let handle = plan.handle.clone().unwrap_or_else(|| old.handle.clone());
    if plan.is_dry_run {
        return look(plan, &old, handle).await;
    }
    let new = arrive(plan, &old, &handle, tell).await?;
    let status = plan.to.query(&new, "com.atproto.server.checkAccountStatus", &[]).await?;
    if status.at("activated") == true {
        tell("the account is active at the new server".to_owned());
    } else {
        bring(plan, &old, &new, tell).await?;
        if status.at("validDid") != true && !change_identity(plan, &old, &new, tell).await? {
            return told(plan, &new, did, handle, State::WaitsForCode).await;
        }
        plan.to.procedure(&new, "com.atproto.server.activateAccount", None).await?;
        tell("activated at the new server".to_owned());
    }
    plan.from.procedure(&old, "com.atproto.server.deactivateAccount", Some(json!({}))).await?;
    tell("deactivated at the old server".to_owned());
    told(plan, &new, did, handle, State::Done).await
}

/// Looks whether a move would work, and how much it would take along.
async fn look(plan: &Plan, old: &Session, handle: String) -> Result<Moved, MoveError> {
    let mut remarks = Vec::new();
    let server = plan.to.describe().await?;
    let domains: Vec<&str> =
        server.at("availableUserDomains").as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let old_domains = plan.from.describe().await?.at("availableUserDomains").clone();
    let is_old_servers =
        old_domains.as_array().into_iter().flatten().filter_map(Value::as_str).any(|d| handle.ends_with(d));
    if is_old_servers && !domains.iter().any(|domain| handle.ends_with(domain)) {
        let choose = domains.join(", ");
        remarks
            .push(format!("the handle {handle} belongs to the old server: use --handle for a handle under {choose}"));
    }
    if server.at("inviteCodeRequired") == true && plan.invite_code.is_none() {
        remarks.push("the new server requires an invite code: use --invite".to_owned());
    }
    if plan.email.is_none() && old.email.is_none() {
        remarks.push("the account has no e-mail address: use --email".to_owned());
    }
    let state = if remarks.is_empty() { State::Possible } else { State::Impossible };
    if !old.did.starts_with("did:plc:") {
        remarks.push(
            "the identity is not a did:plc: its owner must update the DID document and run this command again"
                .to_owned(),
        );
    }
    let status = plan.from.query(old, "com.atproto.server.checkAccountStatus", &[]).await?;
    let count = |name: &str| status.at(name).as_u64().unwrap_or(0);
    Ok(Moved {
        did: old.did.clone(),
        handle,
        state,
        records: count("indexedRecords"),
        blobs: count("expectedBlobs"),
        remarks,
    })
}

/// Makes the account at the new server, unless it is there.
async fn arrive(
    plan: &Plan,
    old: &Session,
    handle: &str,
    tell: &mut (dyn FnMut(String) + Send),
) -> Result<Session, MoveError> {
    if let Ok(session) = plan.to.sign_in(&old.did, &plan.password, None).await {
        tell("the account already exists at the new server".to_owned());
        return Ok(session);
    }
    let server = plan.to.describe().await?;
    let audience = server.at("did").as_str().unwrap_or_default();
    let parameters = [("aud", audience), ("lxm", "com.atproto.server.createAccount")];
    let token = plan.from.query(old, "com.atproto.server.getServiceAuth", &parameters).await?;
    let mut body = json!({
        "did": old.did,
        "handle": handle,
        "email": plan.email.as_ref().or(old.email.as_ref()),
        "password": plan.password,
    });
    if let (Some(code), Some(fields)) = (&plan.invite_code, body.as_object_mut()) {
        fields.insert("inviteCode".to_owned(), json!(code));
    }
    let token = token.at("token").as_str().unwrap_or_default().to_owned();
    let session = plan.to.create_account(&token, &body).await?;
    tell(format!("created the account at {}", plan.to));
    Ok(session)
}

/// Brings records, blobs and preferences along.
async fn bring(
    plan: &Plan,
    old: &Session,
    new: &Session,
    tell: &mut (dyn FnMut(String) + Send),
) -> Result<(), MoveError> {
    plan.to.import(new, plan.from.export(old).await?).await?;
    let status = plan.to.query(new, "com.atproto.server.checkAccountStatus", &[]).await?;
    tell(format!("copied {} records", status.at("indexedRecords")));
    let mut cursor: Option<String> = None;
    let mut brought = 0_u64;
    loop {
        let mut parameters = vec![("limit", BLOBS_PER_PAGE)];
        parameters.extend(cursor.as_deref().map(|cursor| ("cursor", cursor)));
        let page = plan.to.query(new, "com.atproto.repo.listMissingBlobs", &parameters).await?;
        for cid in page.at("blobs").as_array().into_iter().flatten().filter_map(|blob| blob.at("cid").as_str()) {
            plan.to.upload(new, plan.from.blob(old, cid).await?).await?;
            brought += 1;
            tell(format!("copied {brought} blobs"));
        }
        cursor = page.at("cursor").as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    // A server that keeps none says so in its own way; the account has none to bring then.
    if let Ok(preferences) = plan.from.query(old, "app.bsky.actor.getPreferences", &[]).await {
        let body = json!({ "preferences": preferences.at("preferences") });
        plan.to.procedure(new, "app.bsky.actor.putPreferences", Some(body)).await?;
        tell("copied the preferences".to_owned());
    }
    Ok(())
}

/// Points the identity to the new server; tells whether that is done.
async fn change_identity(
    plan: &Plan,
    old: &Session,
    new: &Session,
    tell: &mut (dyn FnMut(String) + Send),
) -> Result<bool, MoveError> {
    let Some(code) = &plan.plc_code else {
        plan.from.procedure(old, "com.atproto.identity.requestPlcOperationSignature", None).await?;
        tell("the old server sends a code by e-mail to confirm the identity change".to_owned());
        return Ok(false);
    };
    let mut wanted = plan.to.query(new, "com.atproto.identity.getRecommendedDidCredentials", &[]).await?;
    if let Some(fields) = wanted.as_object_mut() {
        fields.insert("token".to_owned(), json!(code));
    }
    let signed = plan.from.procedure(old, "com.atproto.identity.signPlcOperation", Some(wanted)).await?;
    let body = json!({ "operation": signed.at("operation") });
    plan.to.procedure(new, "com.atproto.identity.submitPlcOperation", Some(body)).await?;
    tell("the identity points to the new server".to_owned());
    Ok(true)
}

async fn told(plan: &Plan, new: &Session, did: String, handle: String, state: State) -> Result<Moved, MoveError> {
    let status = plan.to.query(new, "com.atproto.server.checkAccountStatus", &[]).await?;
    let count = |name: &str| status.at(name).as_u64().unwrap_or(0);
    let mut remarks = Vec::new();
    if count("importedBlobs") < count("expectedBlobs") {
        let missing = count("expectedBlobs") - count("importedBlobs");
        remarks.push(format!("{missing} blobs are missing: the old server does not have them"));
    }
    if state == State::WaitsForCode {
        remarks
            .push("run the command again with --plc-code and the code that the old server sent by e-mail".to_owned());
    }
    Ok(Moved { did, handle, state, records: count("indexedRecords"), blobs: count("importedBlobs"), remarks })
}
