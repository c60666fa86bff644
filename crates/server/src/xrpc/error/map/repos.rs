//! What goes wrong with repositories and records.

use std::{io, sync::Arc};

use allod_lexicon::{
    com_atproto::{repo, sync},
    method::NoErrors,
};
use allod_net::resolver::ResolveError;

use super::{CommonError, ReadError, STORE_RETRY_SECS, StoreError, XrpcError, damaged, unreadable, unwritable};
use crate::domain::repos::{
    OpenError, RepoError,
    export::BlocksError,
    import::ImportError,
    list::ListError,
    read::ShowError,
    record::RecordError,
    write::{NotAllowed, WriteError},
};

/// When a caller whose repository can't be imported at the moment comes back, in seconds.
const IMPORT_RETRY_SECS: u32 = 30;

/// Maps what keeps a repository from being read to the names each sync method declares for it.
macro_rules! repo_error {
    ($($method:ident),+) => {$(
        impl From<RepoError> for XrpcError<sync::$method::Error> {
            fn from(error: RepoError) -> Self {
                use sync::$method::Error as Name;
                let message = error.to_string();
                match error {
                    RepoError::NotFound(_) | RepoError::Open(OpenError::NotFound(_)) => {
                        Self::declared(Name::RepoNotFound, message)
                    }
                    RepoError::TakenDown(_) => Self::declared(Name::RepoTakendown, message),
                    RepoError::Deactivated(_) => Self::declared(Name::RepoDeactivated, message),
                    RepoError::Open(_)
                    | RepoError::RecordMissing { .. }
                    | RepoError::RecordDamaged { .. }
                    | RepoError::Overtaken(_)
                    | RepoError::TooManyReaders(_)
                    | RepoError::Read(_) => XrpcError::<NoErrors>::from(error).widen(),
                }
            }
        }
    )+};
}

repo_error!(get_blob, get_repo, get_latest_commit, get_record, get_blocks, list_blobs);

impl From<RepoError> for XrpcError<sync::get_repo_status::Error> {
    fn from(error: RepoError) -> Self {
        let message = error.to_string();
        match error {
            RepoError::NotFound(_) => Self::declared(sync::get_repo_status::Error::RepoNotFound, message),
            RepoError::TakenDown(_)
            | RepoError::Deactivated(_)
            | RepoError::Open(_)
            | RepoError::RecordMissing { .. }
            | RepoError::RecordDamaged { .. }
            | RepoError::Overtaken(_)
            | RepoError::TooManyReaders(_)
            | RepoError::Read(_) => XrpcError::<NoErrors>::from(error).widen(),
        }
    }
}

impl From<RepoError> for XrpcError<sync::get_head::Error> {
    fn from(error: RepoError) -> Self {
        match error {
            RepoError::NotFound(did) => {
                let message = format!("Could not find root for DID: {did}");
                Self::declared(sync::get_head::Error::HeadNotFound, message)
            }
            RepoError::TakenDown(_)
            | RepoError::Deactivated(_)
            | RepoError::Open(_)
            | RepoError::RecordMissing { .. }
            | RepoError::RecordDamaged { .. }
            | RepoError::Overtaken(_)
            | RepoError::TooManyReaders(_)
            | RepoError::Read(_) => XrpcError::<NoErrors>::from(error).widen(),
        }
    }
}

impl From<RepoError> for XrpcError<NoErrors> {
    fn from(error: RepoError) -> Self {
        let message = error.to_string();
        match error {
            RepoError::NotFound(_) | RepoError::Open(OpenError::NotFound(_)) => {
                Self::common(CommonError::RepoNotFound, message)
            }
            RepoError::TakenDown(_) => Self::common(CommonError::RepoTakendown, message),
            RepoError::Deactivated(_) => Self::common(CommonError::RepoDeactivated, message),
            RepoError::TooManyReaders(crowded) => Self::common(super::crowded(crowded, STORE_RETRY_SECS), message),
            RepoError::Overtaken(_) | RepoError::Open(OpenError::Busy(_)) => {
                Self::common(CommonError::NotEnoughResources { retry_after_secs: STORE_RETRY_SECS }, message)
            }
            // Named in the log when it was found.
            RepoError::Open(OpenError::Damaged { .. } | OpenError::Tree(..) | OpenError::Commit(_))
            | RepoError::RecordMissing { .. }
            | RepoError::RecordDamaged { .. } => damaged(),
            RepoError::Open(OpenError::NoKey(_) | OpenError::Key(_)) => Self::internal(error),
            RepoError::Open(OpenError::Read(error)) => shared_read_error(error),
            RepoError::Read(error) => error.into(),
        }
    }
}

impl From<BlocksError> for XrpcError<sync::get_blocks::Error> {
    fn from(error: BlocksError) -> Self {
        let message = error.to_string();
        match error {
            BlocksError::NotFound(_) => Self::declared(sync::get_blocks::Error::BlockNotFound, message),
            BlocksError::Repo(error) => error.into(),
        }
    }
}

impl From<ListError> for XrpcError<NoErrors> {
    fn from(error: ListError) -> Self {
        match error {
            ListError::Cursor => Self::invalid_request(error.to_string()),
            ListError::Read(error) => error.into(),
        }
    }
}

impl From<ShowError> for XrpcError<NoErrors> {
    fn from(error: ShowError) -> Self {
        let message = error.to_string();
        match error {
            ShowError::NoRecord { .. }
            | ShowError::NoRepo(_)
            | ShowError::Unresolvable(_)
            | ShowError::Unreadable(..) => Self::invalid_request(message),
            ShowError::Repo(error) => error.into(),
            ShowError::Damaged(..) => damaged(),
            ShowError::Read(error) => error.into(),
        }
    }
}

impl From<ShowError> for XrpcError<repo::get_record::Error> {
    fn from(error: ShowError) -> Self {
        let message = error.to_string();
        match error {
            ShowError::NoRecord { .. } => Self::declared(repo::get_record::Error::RecordNotFound, message),
            ShowError::NoRepo(_)
            | ShowError::Unresolvable(_)
            | ShowError::Repo(_)
            | ShowError::Damaged(..)
            | ShowError::Unreadable(..)
            | ShowError::Read(_) => XrpcError::<NoErrors>::from(error).widen(),
        }
    }
}

impl<E> From<RecordError> for XrpcError<E> {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::NotAnObject
            | RecordError::Type { .. }
            | RecordError::UnknownLexicon(_)
            | RecordError::Lexicon { .. }
            | RecordError::Key { .. }
            | RecordError::Data(_)
            | RecordError::TooLarge { .. } => Self::invalid_request(error.to_string()),
            RecordError::Blobs(error) => error.into(),
        }
    }
}

impl<E> From<NotAllowed> for XrpcError<E> {
    fn from(error: NotAllowed) -> Self {
        let message = error.to_string();
        match error {
            NotAllowed::NoAccount => Self::common(CommonError::WriterNotFound, message),
            NotAllowed::NotTheirs => Self::common(CommonError::AuthenticationRequired, message),
            NotAllowed::TakenDown => Self::common(CommonError::AccountTakedown, message),
            NotAllowed::Deactivated => Self::common(CommonError::AccountDeactivated, message),
            NotAllowed::Read(error) => error.into(),
        }
    }
}

/// Maps what keeps records from being written to the one name each writing method declares.
macro_rules! write_error {
    ($($method:ident),+) => {$(
        impl From<WriteError> for XrpcError<repo::$method::Error> {
            fn from(error: WriteError) -> Self {
                let message = error.to_string();
                match error {
                    WriteError::SwapCommit { .. } | WriteError::SwapRecord { .. } => {
                        Self::declared(repo::$method::Error::InvalidSwap, message)
                    }
                    WriteError::RecordExists(_)
                    | WriteError::NoSuchRecord(_)
                    | WriteError::TooManyWrites
                    | WriteError::TooLarge
                    | WriteError::Tree(_) => Self::invalid_request(message),
                    WriteError::Blobs(error) => error.into(),
                    WriteError::BlobGone => Self::common(CommonError::BlobNotFound, message),
                    WriteError::Inactive => Self::common(CommonError::AccountDeactivated, message),
                    WriteError::Busy => {
                        Self::common(CommonError::NotEnoughResources { retry_after_secs: STORE_RETRY_SECS }, message)
                    }
                    WriteError::Open(OpenError::NotFound(_)) => Self::common(CommonError::RepoNotFound, message),
                    WriteError::Open(OpenError::Damaged { .. } | OpenError::Tree(..) | OpenError::Commit(_))
                    | WriteError::Damaged(_) => damaged(),
                    WriteError::Open(OpenError::NoKey(_) | OpenError::Key(_) | OpenError::Busy(_))
                    | WriteError::Plan(_) => Self::internal(error),
                    WriteError::Open(OpenError::Read(error)) | WriteError::Read(error) => shared_read_error(error),
                    WriteError::Commit(error) => refused_commit(error),
                }
            }
        }
    )+};
}

write_error!(apply_writes, create_record, delete_record, put_record);

/// A read that failed for all who waited for it.
fn shared_read_error<E>(error: Arc<ReadError>) -> XrpcError<E> {
    match &*error {
        ReadError::Unavailable { .. } => unreadable(&error),
        ReadError::Damaged { .. } | ReadError::Column { .. } | ReadError::Corrupt { .. } => damaged(),
        ReadError::Refused { .. } => XrpcError::internal(error),
    }
}

/// A commit that the store did not take, told to one of those who shared it.
fn refused_commit<E>(error: Arc<StoreError>) -> XrpcError<E> {
    match &*error {
        StoreError::Unavailable { .. } | StoreError::Unknown { .. } => unwritable(&error),
        StoreError::Conflict(_) | StoreError::Refused { .. } => XrpcError::internal(error),
    }
}

impl<E> From<ImportError> for XrpcError<E> {
    fn from(error: ImportError) -> Self {
        let message = error.to_string();
        let retry = CommonError::NotEnoughResources { retry_after_secs: IMPORT_RETRY_SECS };
        match error {
            ImportError::NotAccepted
            | ImportError::Car(_)
            | ImportError::Roots
            | ImportError::Commit(_)
            | ImportError::Foreign { .. }
            | ImportError::Future { .. }
            | ImportError::Signature
            | ImportError::Unresolvable(ResolveError::Unsupported(_) | ResolveError::NotFound(_))
            | ImportError::Tree(_)
            | ImportError::Missing(_)
            | ImportError::MissingRecord(_)
            | ImportError::Record(..)
            | ImportError::Path(_)
            | ImportError::Collections
            | ImportError::Moved => Self::invalid_request(message),
            ImportError::Unresolvable(ResolveError::Unavailable { .. }) => {
                tracing::info!(%error, "a repository was not imported");
                Self::common(CommonError::UpstreamFailure, "The account's DID document can't be had; try again")
            }
            ImportError::TooLarge => Self::common(CommonError::PayloadTooLarge, message),
            ImportError::Crowded(crowded) => Self::common(super::crowded(crowded, IMPORT_RETRY_SECS), message),
            ImportError::UnderWay | ImportError::Busy(_) | ImportError::BrokenOff => Self::common(retry, message),
            ImportError::NotFound(_) => Self::common(CommonError::RepoNotFound, message),
            ImportError::Disk(reason) if reason.kind() == io::ErrorKind::StorageFull => {
                tracing::warn!(%reason, "a repository was not imported");
                Self::common(retry, "There is no room for the repository at the moment; try again")
            }
            ImportError::NoKey(_) | ImportError::Key(_) | ImportError::Disk(_) => Self::internal(error),
            ImportError::Read(error) => error.into(),
            ImportError::Store(error) => error.into(),
        }
    }
}
