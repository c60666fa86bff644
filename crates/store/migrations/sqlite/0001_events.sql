-- What the engine itself keeps: the event log's numbering and the catalogue of its days,
-- and a place for single facts about the whole store.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row: the newest number given to an event. Written last in every transaction that has events.
CREATE TABLE event_counter (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL CHECK (seq >= 0)
) STRICT;
INSERT INTO event_counter (id, seq) VALUES (1, 0);

-- One row for each table events_YYYYMMDD; first_seq is a lower bound of the numbers in it.
CREATE TABLE event_days (
    day INTEGER NOT NULL PRIMARY KEY,
    first_seq INTEGER NOT NULL
) STRICT;
