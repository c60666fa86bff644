//! `com.atproto.admin.updateSubjectStatus`: takes an account, a record or a blob down, or not any more.
//!
//! Lexicon: `lexicons/com/atproto/admin/updateSubjectStatus.json`.

use std::sync::Arc;

use allod_lexicon::{
    Method,
    com_atproto::admin::{
        defs::StatusAttr,
        update_subject_status::{Input, InputSubject, Output, UpdateSubjectStatus},
    },
};

use super::record_subject;
use crate::{
    app::App,
    domain::moderation::{self, Change, Mark, Subject},
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::Moderator},
};

/// Changes the status.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<UpdateSubjectStatus, Moderator>,
) -> XrpcResult<UpdateSubjectStatus> {
    let Input { subject, takedown, deactivated } = request.input;
    let answered = serde_json::to_value(&subject).and_then(serde_json::from_value).map_err(XrpcError::internal)?;
    let by = request.auth.by(UpdateSubjectStatus::NSID);
    let change = Change { takedown: takedown.clone().map(mark), deactivated: deactivated.map(mark) };
    moderation::change(&app, &by, &moderated(subject)?, change).await?;
    Ok(XrpcResponse::new(Output { subject: answered, takedown }))
}

fn moderated(subject: InputSubject) -> Result<Subject, XrpcError> {
    match subject {
        InputSubject::RepoRef(subject) => Ok(Subject::Account(subject.did)),
        InputSubject::StrongRef(subject) => record_subject(&subject.uri),
        InputSubject::RepoBlobRef(subject) => Ok(Subject::Blob(subject.did, subject.cid)),
        InputSubject::Unknown(_) => Err(XrpcError::invalid_request("Invalid subject")),
    }
}

fn mark(status: StatusAttr) -> Mark {
    Mark { applied: status.applied, reference: status.r#ref }
}
