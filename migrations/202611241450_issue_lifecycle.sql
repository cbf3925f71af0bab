-- What an operator may say to an issue that is under way, its doubts, and what was sent word for word.

ALTER TABLE issue
    ADD COLUMN held_reason  smallint CHECK (held_reason BETWEEN 0 AND 1),  -- 0 it cannot be rendered, 1 too many refusals
    ADD COLUMN retry_from   integer,                         -- what failed is queued again from this chunk on; null where nobody asked
    ADD COLUMN hints_wanted boolean NOT NULL DEFAULT false;  -- whoever sends is to be woken
-- Looked at every second by each worker.
CREATE INDEX issue_under_way ON issue (id) WHERE finished_at IS NULL;
CREATE INDEX issue_to_retry ON issue (id) WHERE retry_from IS NOT NULL;

-- The text as every reader gets it, with places for the link: whatever version or catalogue comes later.
ALTER TABLE issue_content
    ADD COLUMN frozen        bytea,
    ADD COLUMN frozen_sha256 bytea CHECK (frozen_sha256 = sha256(frozen)),
    ADD CHECK ((frozen IS NULL) = (frozen_sha256 IS NULL));
CREATE FUNCTION refuse_changed_content() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'what was approved stays as it was';
END $$;
CREATE TRIGGER issue_content_is_fixed BEFORE UPDATE ON issue_content
    FOR EACH ROW EXECUTE FUNCTION refuse_changed_content();
ALTER TABLE issue_content ENABLE ALWAYS TRIGGER issue_content_is_fixed;
REVOKE EXECUTE ON FUNCTION refuse_changed_content() FROM PUBLIC;

-- A chunk that is done and free of doubts is counted once, so that a look at an issue of a million
-- does not read a million rows. Null: count the rows.
ALTER TABLE chunk
    ADD COLUMN accepted   integer,
    ADD COLUMN suppressed integer,
    ADD COLUMN failed     integer,
    ADD COLUMN left_over  integer,   -- recipients without an end when an owner last crashed with it
    ADD CHECK ((accepted IS NULL) = (suppressed IS NULL) AND (accepted IS NULL) = (failed IS NULL));

-- Issues take turns: the first chunk of each that is due.
CREATE INDEX chunk_to_take ON chunk (issue_id, next_due NULLS FIRST, chunk_no) WHERE state IN (0, 2);
DROP INDEX chunk_due;

-- Deliveries in doubt, for whoever looks them up in the relay's log. A row goes with its doubt.
CREATE TABLE doubt (
    issue_id      bigint      NOT NULL,
    subscriber_id bigint      NOT NULL,
    message_id    text,                                   -- null where the subscription is gone
    since         timestamptz NOT NULL,
    decided       smallint    CHECK (decided IN (0, 9)),  -- an operator's word: 0 send it again, 9 it counts as sent
    PRIMARY KEY (issue_id, subscriber_id)
);

GRANT UPDATE (retry_from, hints_wanted, held_reason) ON issue TO letterbox_deliver;
GRANT SELECT, INSERT, DELETE, UPDATE (decided) ON doubt TO letterbox_deliver;  -- to lock the row

GRANT UPDATE (state, held_reason, retry_from, hints_wanted, deadline, finished_at) ON issue TO letterbox_operator;
GRANT SELECT (issue_id, chunk_no, n, state, epoch, in_doubt, accepted, suppressed, failed) ON chunk TO letterbox_operator;
GRANT SELECT (chunk_no) ON delivery TO letterbox_operator;
GRANT SELECT (issue_id, message_id, since, decided), UPDATE (decided) ON doubt TO letterbox_operator;
