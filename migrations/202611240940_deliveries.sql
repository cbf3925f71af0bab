-- Issues, their audience, and one-to-one mails: tables and states of reliability.md 1.2-1.4.

CREATE TABLE issue (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY CHECK (id <= 4294967295),
    newsletter_id   bigint      NOT NULL REFERENCES newsletter,
    state           smallint    NOT NULL CHECK (state BETWEEN 0 AND 7),
    -- 0 draft, 1 approved, 2 fanning out, 3 sending, 4 paused, 5 cancelled, 6 finished, 7 held
    content_sha256  bytea       NOT NULL CHECK (octet_length(content_sha256) = 32),  -- frozen at approval
    message_date    timestamptz NOT NULL,
    upper_id        bigint,                               -- subscriptions up to this one are the audience
    cursor_id       bigint      NOT NULL DEFAULT 0,       -- fan-out has come this far
    deadline        timestamptz NOT NULL,                 -- nothing is sent after it
    in_doubt_policy smallint    NOT NULL DEFAULT 0 CHECK (in_doubt_policy BETWEEN 0 AND 2),  -- 0 skip, 1 resend, 2 hold
    approved_at     timestamptz,
    fanned_out_at   timestamptz,
    finished_at     timestamptz
);

CREATE TABLE issue_content (
    issue_id  bigint   NOT NULL REFERENCES issue,
    language  smallint NOT NULL,
    subject   text     NOT NULL,
    preheader text     NOT NULL,
    markdown  text     NOT NULL,
    PRIMARY KEY (issue_id, language)
);

CREATE TABLE chunk (
    issue_id    bigint      NOT NULL REFERENCES issue,
    chunk_no    integer     NOT NULL,
    route       smallint    NOT NULL DEFAULT 0,
    n           integer     NOT NULL,
    state       smallint    NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 5),
    -- 0 ready, 1 running, 2 waiting for next_due, 3 done, 4 quarantined, 5 parked
    owner       bytea,
    epoch       integer     NOT NULL DEFAULT 0,
    next_due    timestamptz,
    outboxed_at timestamptz,
    crashes     smallint    NOT NULL DEFAULT 0,
    failures    smallint    NOT NULL DEFAULT 0,
    in_doubt    integer     NOT NULL DEFAULT 0,    -- deliveries in state 6: delivery itself has no index on its state
    PRIMARY KEY (issue_id, chunk_no)
);
CREATE INDEX chunk_due ON chunk (next_due NULLS FIRST) WHERE state IN (0, 2);
CREATE INDEX chunk_running ON chunk (owner) WHERE state = 1;
CREATE INDEX chunk_in_doubt ON chunk (issue_id) WHERE in_doubt > 0;

-- One row for each recipient of an issue. The key is the subscriber: one person gets one copy.
CREATE TABLE delivery (
    issue_id      bigint      NOT NULL,
    subscriber_id bigint      NOT NULL,
    subscription  bigint      NOT NULL,            -- subscription.id
    chunk_no      integer     NOT NULL,
    state         smallint    NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 10),
    attempt       smallint    NOT NULL DEFAULT 0,
    epoch         integer     NOT NULL DEFAULT 0,
    worker        bytea,
    code          smallint,                        -- the relay's code, never its text
    enhanced      text,
    not_before    timestamptz,
    updated_at    timestamptz NOT NULL,
    PRIMARY KEY (issue_id, subscriber_id)
) PARTITION BY HASH (issue_id);
CREATE TABLE delivery_0 PARTITION OF delivery FOR VALUES WITH (MODULUS 4, REMAINDER 0) WITH (fillfactor = 70);
CREATE TABLE delivery_1 PARTITION OF delivery FOR VALUES WITH (MODULUS 4, REMAINDER 1) WITH (fillfactor = 70);
CREATE TABLE delivery_2 PARTITION OF delivery FOR VALUES WITH (MODULUS 4, REMAINDER 2) WITH (fillfactor = 70);
CREATE TABLE delivery_3 PARTITION OF delivery FOR VALUES WITH (MODULUS 4, REMAINDER 3) WITH (fillfactor = 70);
CREATE INDEX delivery_by_chunk ON delivery (issue_id, chunk_no);

-- One-to-one mail: confirmations and "you already get this". States and guards are those of a delivery.
CREATE TABLE mail (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind            smallint    NOT NULL,          -- MailKind
    language        smallint    NOT NULL,
    newsletter_ids  bigint[]    NOT NULL CHECK (cardinality(newsletter_ids) > 0),
    box_id          bytea       NOT NULL,
    sealed          bytea,                         -- null once the mail is final
    address_index   bytea       NOT NULL,
    mailbox_code    bytea       NOT NULL,
    subscription_id bytea       NOT NULL,          -- of the first newsletter; proposed for a confirmation
    row_mac         bytea       NOT NULL,          -- over box, subscription, first newsletter and state
    mac_state       smallint    NOT NULL,          -- the state and consent that the MAC covers
    mac_consent     bytea       NOT NULL,
    state           smallint    NOT NULL DEFAULT 0 CHECK (state BETWEEN 0 AND 10),
    attempt         smallint    NOT NULL DEFAULT 0,
    epoch           integer     NOT NULL DEFAULT 0,
    worker          bytea,
    code            smallint,
    enhanced        text,
    not_before      timestamptz,
    deadline        timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL
);
CREATE INDEX mail_due ON mail (not_before NULLS FIRST, id) WHERE state IN (0, 3);
CREATE INDEX mail_attempting ON mail (worker) WHERE state IN (1, 6);
CREATE INDEX mail_of_address ON mail (address_index, kind, created_at);

CREATE TABLE worker (
    worker_id bytea   PRIMARY KEY CHECK (octet_length(worker_id) = 16),
    boot_id   bytea   NOT NULL,
    heartbeat bigint  NOT NULL DEFAULT 0,
    role      text    NOT NULL,
    build     text    NOT NULL
);

-- Intent, committed with the state it belongs to. A row goes when its hint was handed on.
CREATE TABLE outbox (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    topic      smallint    NOT NULL CHECK (topic IN (1, 2)),   -- 1 letterbox.bulk.v1, 2 letterbox.confirm.v1
    body       text        NOT NULL,                           -- {"v":1,"issue":N,"chunk":N} or {"v":1,"mail":N}
    created_at timestamptz NOT NULL
);
