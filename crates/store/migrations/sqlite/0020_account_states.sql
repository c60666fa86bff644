-- Whether an account ever took part in the network, and whether it waits in the sign-up queue.
ALTER TABLE accounts ADD COLUMN was_activated INTEGER NOT NULL DEFAULT 1;
ALTER TABLE accounts ADD COLUMN is_queued INTEGER NOT NULL DEFAULT 0;
UPDATE accounts SET was_activated = 0 WHERE deactivated_at = created_at;
UPDATE accounts SET is_queued = 1 WHERE did IN (SELECT did FROM sign_up_queue);
