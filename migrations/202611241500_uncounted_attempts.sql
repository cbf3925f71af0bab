-- An attempt that was given back, or did not reach the relay, does not count; its number is not used
-- again either, so that a statement that is repeated after a lost answer touches no later attempt.
ALTER TABLE delivery ADD COLUMN uncounted smallint NOT NULL DEFAULT 0;
