//! `com.atproto.repo.importRepo`: replaces the caller's repository by one that was exported elsewhere.
//!
//! Lexicon: `lexicons/com/atproto/repo/importRepo.json`. Spec: <https://atproto.com/guides/account-migration>

use std::sync::Arc;

use allod_http::body::RequestBody;
use allod_lexicon::{com_atproto::repo::import_repo::ImportRepo, method::NoBody, method::NoErrors};
use allod_store::tables::accounts::Account;
use http::{HeaderMap, header::CONTENT_ENCODING};
use http_body_util::BodyExt as _;

use crate::{
    app::App,
    domain::{
        account_status::Status,
        repos::{
            import::{self, Import},
            write::NotAllowed,
        },
        shares::Taker,
    },
    limits::{IMPORT_BYTES_PER_SEC_MIN, IMPORT_RECEIVE_SECS_MAX},
    xrpc::{CommonError, XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess, body, route},
};

/// Takes the CAR file as it comes and answers when the repository is the account's, which may be deactivated.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ImportRepo, FullAccess>) -> XrpcResult<ImportRepo> {
    let XrpcRequest { auth: FullAccess(session), headers, raw_body, context, .. } = request;
    let mut sent = raw_body.at_pace(IMPORT_BYTES_PER_SEC_MIN, IMPORT_RECEIVE_SECS_MAX);
    let taker = context.taker(Some(&session.account.did));
    match take(&app, &session.account, &taker, &headers, &mut sent).await {
        Ok(()) => Ok(XrpcResponse::new(NoBody {})),
        Err(error) => {
            route::drain(&headers, sent).await;
            Err(error)
        }
    }
}

async fn take(
    app: &Arc<App>,
    account: &Account,
    taker: &Taker,
    headers: &HeaderMap,
    sent: &mut RequestBody,
) -> Result<(), XrpcError<NoErrors>> {
    if Status::of(account) == Status::TakenDown {
        return Err(NotAllowed::TakenDown.into());
    }
    if headers.get_all(CONTENT_ENCODING).iter().any(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"identity")) {
        return Err(XrpcError::common(
            CommonError::UnsupportedMediaType,
            "a repository is taken without a content encoding",
        ));
    }
    import::check_accepted(app)?;
    let mut import = Import::begin(app, &account.did, taker, body::declared_bytes(headers)).await?;
    while let Some(frame) = sent.frame().await {
        if let Ok(piece) = frame.map_err(|error| body::refuse_broken(&error))?.into_data() {
            import.push(piece).await?;
        }
    }
    import.finish(|_| ()).await?;
    Ok(())
}
