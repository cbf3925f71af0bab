-- What the road over a broker needs.

-- A relay holds the hints that it is publishing: until then no other one takes them.
ALTER TABLE outbox ADD COLUMN claimed_until timestamptz;

-- An operator sees how large a dead request is, and not what is in it.
ALTER TABLE dead_request ADD COLUMN bytes integer NOT NULL GENERATED ALWAYS AS (octet_length(envelope)) STORED;
