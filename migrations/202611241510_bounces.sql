-- Mail to somebody who is not there: what came back, and the decision to send no more (privacy.md EML-44).

-- One row for a subscription and an issue whose mail came back. It goes when no rule looks at it any more.
CREATE TABLE bounce (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subscription bigint      NOT NULL,                              -- subscription.id
    issue_id     bigint      NOT NULL,
    kind         smallint    NOT NULL CHECK (kind BETWEEN 0 AND 2),
    -- 0 no such mailbox, 1 refused for good, 2 refused for now until the issue's end
    bounced_at   timestamptz NOT NULL,
    judged       boolean     NOT NULL DEFAULT false,
    UNIQUE (subscription, issue_id)
);
CREATE INDEX bounce_to_judge ON bounce (id) WHERE NOT judged;

-- Decisions that no human took, each with its rule: the ledger's entry names it.
CREATE TABLE automated_decision (
    decision_id     bytea       PRIMARY KEY CHECK (octet_length(decision_id) = 16),
    rule            smallint    NOT NULL CHECK (rule BETWEEN 0 AND 2),
    -- 0 no such mailbox, 1 refused for good by three issues in 14 days, 2 refused until the end of five issues in a row
    subscription_id bytea       NOT NULL CHECK (octet_length(subscription_id) = 16),
    issue_id        bigint      NOT NULL,
    decided_at      timestamptz NOT NULL
);

-- A worker puts the stop that follows into the inbox, as a web role does, under its own id and a number
-- without a gap.
ALTER TABLE worker ADD COLUMN requests bigint NOT NULL DEFAULT 0;

GRANT SELECT, INSERT, UPDATE (kind, bounced_at, judged), DELETE ON bounce TO letterbox_deliver;
GRANT INSERT ON automated_decision TO letterbox_deliver;
GRANT INSERT (spool_id, seq, stop, envelope, received_at) ON request_inbox TO letterbox_deliver;
GRANT INSERT (spool_id, role, holds_stops, moved_at) ON spool TO letterbox_deliver;
