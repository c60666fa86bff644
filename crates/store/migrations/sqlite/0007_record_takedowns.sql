-- Which records of a set are taken down, so that an import can carry that over.

CREATE INDEX records_taken_down ON records (record_set) WHERE takedown_ref IS NOT NULL;
