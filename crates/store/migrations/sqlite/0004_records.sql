-- Records by the set they belong to. Before this step no record could be written, so there is nothing to carry over.
-- Times are microseconds since the Unix epoch. Who writes what: docs/storage.md.

DROP TABLE records;

-- A set of records has a number of its own, so that an import can prepare one beside the old and swap them at once.
ALTER TABLE repos ADD COLUMN record_set INTEGER NOT NULL DEFAULT 0;
UPDATE repos SET record_set = abs(random() % 281474976710656);
CREATE UNIQUE INDEX repos_by_record_set ON repos (record_set);

-- In the order of the tree's keys: `path` is collection/rkey. (By collection and then rkey it would be another order,
-- because "." and "-" sort before "/".)
CREATE TABLE records (
    record_set INTEGER NOT NULL,
    path TEXT NOT NULL,
    cid BLOB NOT NULL,
    rev INTEGER NOT NULL,
    takedown_ref TEXT,
    block BLOB NOT NULL,
    PRIMARY KEY (record_set, path)
) STRICT, WITHOUT ROWID;

-- Which repositories have records of a collection.
CREATE TABLE repo_collections (
    collection TEXT NOT NULL,
    did TEXT NOT NULL,
    PRIMARY KEY (collection, did)
) STRICT, WITHOUT ROWID;
CREATE INDEX repo_collections_by_did ON repo_collections (did);

-- What likes, reposts, follows and blocks are about, so that a second one of a subject replaces the first.
CREATE TABLE backlinks (
    record_set INTEGER NOT NULL,
    collection TEXT NOT NULL,
    subject TEXT NOT NULL,
    rkey TEXT NOT NULL,
    PRIMARY KEY (record_set, collection, subject, rkey)
) STRICT, WITHOUT ROWID;
CREATE INDEX backlinks_by_record ON backlinks (record_set, collection, rkey);

-- Sets that no repository has: being imported, replaced, or of an account that is gone.
CREATE TABLE old_record_sets (
    record_set INTEGER NOT NULL PRIMARY KEY,
    did TEXT NOT NULL,
    delete_after INTEGER NOT NULL
) STRICT;
CREATE INDEX old_record_sets_by_age ON old_record_sets (delete_after);
