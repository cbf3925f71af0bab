-- People: sealed addresses, keyed codes and random ids, and what they asked for.
-- No column of this file holds an address in plain text.

CREATE TABLE subscriber (
    id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    address_index    bytea       NOT NULL UNIQUE CHECK (octet_length(address_index) = 32),
    suppression_code bytea       NOT NULL CHECK (octet_length(suppression_code) = 32),
    mailbox_code     bytea       NOT NULL CHECK (octet_length(mailbox_code) = 32),
    code_generation  smallint    NOT NULL,
    created_at       timestamptz NOT NULL
);

-- Sign-ups that wait for their confirmation, apart from the subscribers. A row goes when the
-- sign-up is confirmed, disowned or expires.
CREATE TABLE sign_up (
    box_id           bytea       PRIMARY KEY CHECK (octet_length(box_id) = 16),
    sealed           bytea       NOT NULL,
    address_index    bytea       NOT NULL CHECK (octet_length(address_index) = 32),
    suppression_code bytea       NOT NULL CHECK (octet_length(suppression_code) = 32),
    mailbox_code     bytea       NOT NULL CHECK (octet_length(mailbox_code) = 32),
    code_generation  smallint    NOT NULL,
    language         smallint    NOT NULL,
    accepted_at      timestamptz NOT NULL,
    expires_at       timestamptz NOT NULL    -- moves to sending + 7 days when the confirmation mail goes
);
CREATE INDEX sign_up_by_address ON sign_up (address_index);
CREATE INDEX sign_up_by_expiry ON sign_up (expires_at);

CREATE TABLE subscription (
    id               bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription_id  bytea       NOT NULL UNIQUE CHECK (octet_length(subscription_id) = 16),
    subscriber_id    bigint      NOT NULL REFERENCES subscriber,
    newsletter_id    bigint      NOT NULL REFERENCES newsletter,
    state            smallint    NOT NULL CHECK (state IN (0, 1, 2)),  -- 0 pending, 1 active, 2 stopped
    language         smallint    NOT NULL,
    box_id           bytea       NOT NULL,
    box_accepted_at  timestamptz NOT NULL,   -- acceptance of the sign-up that brought the box: the latest one counts
    sealed           bytea,                  -- null once the time to undo is over
    consent_event_id bytea       NOT NULL,
    row_mac          bytea       NOT NULL CHECK (octet_length(row_mac) = 32),
    changed_at       timestamptz NOT NULL,
    stopped_at       timestamptz,            -- since when it is stopped, by acceptance
    UNIQUE (subscriber_id, newsletter_id)
);
CREATE INDEX subscription_active ON subscription (newsletter_id, subscriber_id) WHERE state = 1;
CREATE INDEX subscription_stopped ON subscription (stopped_at) WHERE sealed IS NOT NULL AND state = 2;

-- The consent record (privacy.md 2.3): one for each sign-up and newsletter, from the request on.
-- It is also the set of sign-ups of which a subscription's state is a function.
CREATE TABLE consent (
    consent_id              bytea       PRIMARY KEY CHECK (octet_length(consent_id) = 16),
    box_id                  bytea       NOT NULL,
    newsletter_id           bigint      NOT NULL REFERENCES newsletter,
    subscription_id         bytea       NOT NULL,    -- proposed until confirmed
    lawful_basis            smallint    NOT NULL,
    notice_id               bigint      NOT NULL REFERENCES notice,
    language                smallint    NOT NULL,    -- for the mails of this sign-up
    wording_sha256          bytea,
    origin                  text,
    channel                 smallint    NOT NULL,    -- 0 web, 1 api
    requested_at            timestamptz NOT NULL,
    confirmation_sent_at    timestamptz,
    confirmation_message_id text,
    confirmed_at            timestamptz,
    confirm_event_id        bytea,
    confirm_kid             integer,
    confirm_token_version   smallint,
    disowned_at             timestamptz,
    withdrawn_at            timestamptz,
    withdrawal_seq          bigint,                  -- the ledger entry
    record_mac              bytea,                   -- over the record, by the registrar: shows an edit
    sealed                  bytea,                   -- kept while confirmed and another sign-up's box is in use:
                                                     -- should that one be disowned, this one counts again
    UNIQUE (box_id, newsletter_id)
);
CREATE INDEX consent_by_subscription ON consent (subscription_id);

-- Unsubscribes by their event: an undo that arrives first waits here for its unsubscribe.
CREATE TABLE unsubscribe (
    event_id        bytea       PRIMARY KEY CHECK (octet_length(event_id) = 16),
    subscription_id bytea,
    accepted_at     timestamptz,
    undo_event_id   bytea,
    undone_at       timestamptz,
    ledger_seq      bigint           -- its entry
);
CREATE INDEX unsubscribe_by_subscription ON unsubscribe (subscription_id);

-- A confirm or "not me" that arrived before its sign-up.
CREATE TABLE early_event (
    event_id      bytea       PRIMARY KEY CHECK (octet_length(event_id) = 16),
    box_id        bytea       NOT NULL,
    kind          smallint    NOT NULL CHECK (kind IN (1, 2)),  -- 1 confirm, 2 not me
    accepted_at   timestamptz NOT NULL,
    token_version smallint    NOT NULL,
    kid           integer     NOT NULL,
    key_state     smallint    NOT NULL,
    spool_id      bytea       NOT NULL
);
CREATE INDEX early_event_by_box ON early_event (box_id);

-- Whom not to mail, by code: outlives the person (FORMATS.md, Codes of an address).
CREATE TABLE suppression (
    code            bytea       NOT NULL CHECK (octet_length(code) = 32),
    code_kind       smallint    NOT NULL CHECK (code_kind IN (0, 1)),    -- 0 address, 1 mailbox
    code_generation smallint    NOT NULL,
    level           smallint    NOT NULL CHECK (level BETWEEN 1 AND 4),  -- 1 one newsletter, 2 no newsletters, 3 no mail, 4 no confirmations
    newsletter_id   bigint      REFERENCES newsletter,
    reason          smallint    NOT NULL,                                -- the ledger's method
    event_id        bytea,
    set_at          timestamptz NOT NULL,
    expires_at      timestamptz,
    CHECK ((level = 1) = (newsletter_id IS NOT NULL))
);
CREATE UNIQUE INDEX suppression_once ON suppression (code, level, coalesce(newsletter_id, 0));
