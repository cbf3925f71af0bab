-- A database that went back: what workers remember of the one that was lost, and how far that is made up
-- for. While one of these is open nothing is sent (DESIGN.md 2).
CREATE TABLE restore (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    detected_at  timestamptz NOT NULL,
    recorded_seq bigint,                 -- its entry in the ledger: until there is one nothing is applied
    ended_at     timestamptz
);
CREATE UNIQUE INDEX restore_one_at_a_time ON restore ((true)) WHERE ended_at IS NULL;

-- Workers that have told what they remember, with the newest checkpoint in each one's own file.
CREATE TABLE restore_witness (
    restore_id     bigint NOT NULL REFERENCES restore,
    worker_id      bytea  NOT NULL,
    checkpoint_seq bigint NOT NULL CHECK (checkpoint_seq >= 0),
    checkpoint_h   bytea  NOT NULL CHECK (octet_length(checkpoint_h) = 32),
    reasserted     boolean NOT NULL DEFAULT false,   -- what its journal proves to be sent stands here again
    PRIMARY KEY (restore_id, worker_id)
);

-- What each spool has to come to: all that was applied once is applied again, and its role has reported
-- since then.
CREATE TABLE restore_spool (
    restore_id bigint NOT NULL REFERENCES restore,
    spool_id   bytea  NOT NULL,
    seen_upto  bigint NOT NULL,
    counter    bigint NOT NULL,          -- its heartbeats in the database that came back
    PRIMARY KEY (restore_id, spool_id)
);

-- Erasures from the workers' journals, applied once more. No address: the code that keeps the person
-- from being mailed.
CREATE TABLE restore_erasure (
    event_id        bytea       PRIMARY KEY CHECK (octet_length(event_id) = 16),
    accepted_at     timestamptz NOT NULL,
    code            bytea       NOT NULL CHECK (octet_length(code) = 32),
    code_generation smallint    NOT NULL,
    spool_id        bytea       NOT NULL CHECK (octet_length(spool_id) = 16),
    applied_at      timestamptz
);
CREATE INDEX restore_erasure_waiting ON restore_erasure (event_id) WHERE applied_at IS NULL;

-- What an operator says to the barrier: that a spool is gone for good, or that bulk goes out for a while
-- whatever the barrier says. It has an effect once the registrar has put it into the ledger.
CREATE TABLE barrier_act (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event_id     bytea       NOT NULL UNIQUE CHECK (octet_length(event_id) = 16),
    spool_id     bytea       CHECK (octet_length(spool_id) = 16),
    until        timestamptz,
    reason       text        NOT NULL,
    asked_at     timestamptz NOT NULL,
    recorded_seq bigint,
    CHECK ((spool_id IS NULL) <> (until IS NULL))
);
CREATE INDEX barrier_act_waiting ON barrier_act (id) WHERE recorded_seq IS NULL;

-- A spool that reports is not gone: whoever retired it, its stops are waited for again.
CREATE OR REPLACE FUNCTION spool_register(own_spool_id bytea, own_role text, own_holds_stops boolean, at timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    known spool%ROWTYPE;
BEGIN
    PERFORM refuse_other_role(own_role);
    IF own_holds_stops AND own_role = 'intake' THEN
        RAISE EXCEPTION 'intake has no spool of stops' USING ERRCODE = 'insufficient_privilege';
    END IF;
    INSERT INTO spool (spool_id, role, holds_stops, moved_at)
    VALUES (own_spool_id, own_role, own_holds_stops, at)
    ON CONFLICT (spool_id) DO UPDATE SET
        role = CASE WHEN spool.role = '' THEN EXCLUDED.role ELSE spool.role END,
        holds_stops = EXCLUDED.holds_stops, moved_at = EXCLUDED.moved_at, retired_at = NULL,
        counter = spool.counter + 1
    RETURNING * INTO known;
    IF known.role <> own_role THEN
        RAISE EXCEPTION 'this spool belongs to another role' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN known.applied_upto;
END $$;

CREATE OR REPLACE FUNCTION spool_beat(own_spool_id bytea, oldest_stop timestamptz, at timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    known spool%ROWTYPE;
BEGIN
    UPDATE spool SET counter = counter + 1, moved_at = at, oldest_stop_at = oldest_stop, retired_at = NULL
    WHERE spool_id = own_spool_id
    RETURNING * INTO known;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM refuse_other_role(known.role);
    UPDATE installation SET tick = tick + 1
    WHERE tick IN (SELECT tick FROM installation FOR UPDATE SKIP LOCKED);
    RETURN known.applied_upto;
END $$;

-- Replacing them took the search_path away again.
DO $$
DECLARE
    function regprocedure;
BEGIN
    FOREACH function IN ARRAY ARRAY[
        'spool_register(bytea, text, boolean, timestamptz)',
        'spool_beat(bytea, timestamptz, timestamptz)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp',
                       function, current_schema());
    END LOOP;
END $$;

GRANT SELECT, INSERT, UPDATE (recorded_seq, ended_at) ON restore TO letterbox_deliver;
GRANT SELECT, INSERT, UPDATE (reasserted) ON restore_witness TO letterbox_deliver;
GRANT SELECT, INSERT, UPDATE (seen_upto) ON restore_spool TO letterbox_deliver;
GRANT SELECT, INSERT, UPDATE (applied_at) ON restore_erasure TO letterbox_deliver;
GRANT SELECT, UPDATE (recorded_seq) ON barrier_act TO letterbox_deliver;
GRANT INSERT (spool_id, role, holds_stops, moved_at, retired_at), UPDATE (retired_at) ON spool
    TO letterbox_deliver;

GRANT SELECT ON spool, restore, restore_spool TO letterbox_operator;
GRANT SELECT (applied_at) ON restore_erasure TO letterbox_operator;
GRANT SELECT (restore_id, reasserted) ON restore_witness TO letterbox_operator;
GRANT SELECT, INSERT (event_id, spool_id, until, reason, asked_at) ON barrier_act TO letterbox_operator;
GRANT SELECT (spool_id, seq), INSERT (spool_id, seq, stop, envelope, received_at) ON request_inbox
    TO letterbox_operator;
