-- The newest event when the account was made: up to here, events of its DID are of an earlier account that was deleted.
ALTER TABLE accounts ADD COLUMN earlier_events_upto INTEGER NOT NULL DEFAULT 0;
