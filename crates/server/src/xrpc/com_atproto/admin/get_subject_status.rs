//! `com.atproto.admin.getSubjectStatus`: whether an account, a record or a blob is taken down.
//!
//! Lexicon: `lexicons/com/atproto/admin/getSubjectStatus.json`.

use std::sync::Arc;

use allod_atproto::{AtUri, Cid};
use allod_lexicon::com_atproto::{
    admin::{
        defs::{RepoBlobRef, RepoRef, StatusAttr},
        get_subject_status::{GetSubjectStatus, Output, OutputSubject, Params},
    },
    repo::strong_ref::StrongRef,
};

use super::record_subject;
use crate::{
    app::App,
    domain::moderation::{self, Mark, ModerationError, Subject},
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::Moderator},
};

/// Tells the status.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetSubjectStatus, Moderator>) -> XrpcResult<GetSubjectStatus> {
    let Params { did, uri, blob } = request.params;
    let subject = match (did, uri, blob) {
        (Some(did), _, Some(cid)) => Subject::Blob(did, cid),
        (None, _, Some(_)) => return Err(XrpcError::invalid_request("Must provide a did to request blob state")),
        (_, Some(uri), None) => record_subject(&uri)?,
        (Some(did), None, None) => Subject::Account(did),
        (None, None, None) => return Err(XrpcError::invalid_request("No provided subject")),
    };
    let standing = moderation::standing(&app, &subject).await?;
    let subject = shown(subject, standing.cid)?;
    let deactivated = standing.deactivated.map(status);
    Ok(XrpcResponse::new(Output { subject, takedown: Some(status(standing.takedown)), deactivated }))
}

fn shown(subject: Subject, cid: Option<Cid>) -> Result<OutputSubject, XrpcError> {
    match subject {
        Subject::Account(did) => Ok(OutputSubject::RepoRef(Box::new(RepoRef { did }))),
        Subject::Record(did, path) => {
            let uri = AtUri::parse(&format!("at://{did}/{path}")).map_err(XrpcError::internal)?;
            let cid = cid.ok_or(ModerationError::NotFound)?;
            Ok(OutputSubject::StrongRef(Box::new(StrongRef { uri, cid })))
        }
        Subject::Blob(did, cid) => Ok(OutputSubject::RepoBlobRef(Box::new(RepoBlobRef { did, cid, record_uri: None }))),
    }
}

fn status(mark: Mark) -> StatusAttr {
    StatusAttr { applied: mark.applied, r#ref: mark.reference }
}
