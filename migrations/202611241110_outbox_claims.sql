-- A relay holds the hints that it is publishing: until then no other one takes them.
ALTER TABLE outbox ADD COLUMN claimed_until timestamptz;
