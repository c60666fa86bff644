-- Networks that accounts have signed in from, as keyed hashes. Times are microseconds since the Unix epoch.
-- Who writes what: docs/storage.md.

CREATE TABLE known_networks (
    did TEXT NOT NULL,
    network_hash BLOB NOT NULL,
    last_seen INTEGER NOT NULL,
    PRIMARY KEY (did, network_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_networks_by_last_seen ON known_networks (last_seen);
