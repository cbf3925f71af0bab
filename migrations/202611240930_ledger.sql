-- The unsubscribe ledger (FORMATS.md, Ledger): appended to, never changed.

CREATE TABLE ledger_head (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    seq bigint  NOT NULL
);
INSERT INTO ledger_head (seq) VALUES (0);

CREATE TABLE ledger_entry (
    seq             bigint   PRIMARY KEY CHECK (seq > 0),
    event_id        bytea    NOT NULL UNIQUE CHECK (octet_length(event_id) = 16),
    occurred_ms     bigint   NOT NULL,
    recorded_ms     bigint   NOT NULL,
    newsletter_id   bigint,                    -- null: all
    subscription_id bytea    CHECK (octet_length(subscription_id) = 16),
    issue           bigint   NOT NULL DEFAULT 0 CHECK (issue BETWEEN 0 AND 4294967295),
    method          smallint NOT NULL CHECK (method BETWEEN 0 AND 13),
    effect          smallint NOT NULL CHECK (effect BETWEEN 0 AND 4),
    token_version   smallint,
    kid             integer  CHECK (kid BETWEEN 0 AND 65535),
    key_state       smallint CHECK (key_state BETWEEN 0 AND 2),
    actor           smallint NOT NULL CHECK (actor BETWEEN 0 AND 3),
    staff_reference bytea    CHECK (octet_length(staff_reference) = 16),
    decision_id     bytea    CHECK (octet_length(decision_id) = 16),
    spool_id        bytea    CHECK (octet_length(spool_id) = 16),
    leaf            bytea    CHECK (octet_length(leaf) = 32),
    h               bytea    CHECK (octet_length(h) = 32),
    CHECK ((token_version IS NULL) = (kid IS NULL) AND (kid IS NULL) = (key_state IS NULL))
);

CREATE FUNCTION refuse_changed_ledger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the ledger is appended to, never changed';
END $$;
CREATE TRIGGER ledger_is_append_only
    BEFORE UPDATE OR DELETE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION refuse_changed_ledger();
CREATE TRIGGER ledger_is_never_emptied
    BEFORE TRUNCATE ON ledger_entry
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_changed_ledger();
