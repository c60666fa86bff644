//! `com.atproto.repo.*`.

pub mod apply_writes;
pub mod create_record;
pub mod delete_record;
pub mod describe_repo;
pub mod get_record;
pub mod import_repo;
pub mod list_missing_blobs;
pub mod list_records;
pub mod put_record;
pub mod upload_blob;

use allod_lexicon::com_atproto::repo::defs::CommitMeta;

use crate::domain::repos::write::CommitMade;

/// The commit that a write ended in, as the methods tell it.
fn commit_meta(made: CommitMade) -> CommitMeta {
    CommitMeta { cid: made.cid, rev: made.rev }
}
