-- What web roles accepted, on its way to the registrar.

CREATE TABLE spool (
    spool_id       bytea       PRIMARY KEY CHECK (octet_length(spool_id) = 16),
    role           text        NOT NULL,
    holds_stops    boolean     NOT NULL,
    counter        bigint      NOT NULL DEFAULT 0,   -- one more with each heartbeat
    moved_at       timestamptz NOT NULL,             -- when the counter last moved
    oldest_stop_at timestamptz,                      -- acceptance of its oldest unapplied stop, null for none
    applied_upto   bigint      NOT NULL DEFAULT 0,   -- every seq up to this one is applied
    retired_at     timestamptz
);

CREATE TABLE request_inbox (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    spool_id    bytea       NOT NULL CHECK (octet_length(spool_id) = 16),
    seq         bigint      NOT NULL CHECK (seq > 0),
    stop        boolean     NOT NULL,
    envelope    bytea       NOT NULL,                -- the spool record's body and the spool_id
    received_at timestamptz NOT NULL,
    not_before  timestamptz,                         -- set where only a newer version can read it
    UNIQUE (spool_id, seq)
);
CREATE INDEX request_inbox_stops_first ON request_inbox (stop DESC, id);

-- Exactly once: a request's row here commits with its effect. Rows up to applied_upto are removed.
CREATE TABLE applied_request (
    spool_id bytea  NOT NULL,
    seq      bigint NOT NULL,
    PRIMARY KEY (spool_id, seq)
);

-- What could not be read. A stop in here keeps the barrier closed until somebody has looked.
CREATE TABLE dead_request (
    id       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    spool_id bytea       NOT NULL,
    seq      bigint      NOT NULL,
    stop     boolean     NOT NULL,
    reason   text        NOT NULL,
    envelope bytea       NOT NULL,
    died_at  timestamptz NOT NULL,
    seen_at  timestamptz,
    UNIQUE (spool_id, seq)
);
