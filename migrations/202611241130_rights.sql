-- Who may do what: deploy/postgres/README.md has the table, and a test compares the two. The roles
-- are the cluster's, not the database's: deploy/postgres/roles.sql makes them, before this.

DO $$
DECLARE
    missing text;
BEGIN
    SELECT string_agg(name, ', ') INTO missing
    FROM unnest('{letterbox_intake,letterbox_unsubscribe,letterbox_deliver,letterbox_operator}'::text[]) AS name
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name);
    IF missing IS NOT NULL THEN
        RAISE EXCEPTION 'the cluster has no role %: run deploy/postgres/roles.sql as a superuser, then this again', missing;
    END IF;
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO letterbox_intake, letterbox_unsubscribe, letterbox_deliver, letterbox_operator', current_schema());
END $$;

REVOKE EXECUTE ON FUNCTION refuse_changed_notice(), refuse_changed_ledger(), refuse_other_role(text),
    spool_register(bytea, text, boolean, timestamptz), spool_beat(bytea, timestamptz, timestamptz)
    FROM PUBLIC;

-- Everybody: the catalogue.
GRANT SELECT ON catalogue_installation, catalogue_body, catalogue_newsletter, catalogue_notice
    TO letterbox_intake, letterbox_unsubscribe, letterbox_deliver, letterbox_operator;

-- The web roles: requests in, and word of their own spool. Nothing of a person comes out.
GRANT INSERT (spool_id, seq, stop, envelope, received_at) ON request_inbox
    TO letterbox_intake, letterbox_unsubscribe;
GRANT EXECUTE ON FUNCTION spool_register(bytea, text, boolean, timestamptz),
    spool_beat(bytea, timestamptz, timestamptz)
    TO letterbox_intake, letterbox_unsubscribe;

-- The delivery worker. The catalogue and the content of issues are not its to change, and of the
-- ledger it may only write the next line.
GRANT SELECT (tick), UPDATE (tick) ON installation TO letterbox_deliver;
GRANT SELECT ON newsletter, notice, issue_content TO letterbox_deliver;
GRANT SELECT, UPDATE (applied_upto) ON spool TO letterbox_deliver;
GRANT SELECT, DELETE, UPDATE (not_before) ON request_inbox TO letterbox_deliver;
GRANT SELECT, INSERT, DELETE ON applied_request TO letterbox_deliver;
GRANT SELECT, INSERT, DELETE ON dead_request TO letterbox_deliver;
GRANT SELECT, INSERT, UPDATE, DELETE ON sign_up, subscription, unsubscribe, suppression
    TO letterbox_deliver;
GRANT SELECT, INSERT, DELETE, UPDATE (confirmation_sent_at, confirmation_message_id, confirmed_at,
    confirm_event_id, confirm_kid, confirm_token_version, disowned_at, withdrawn_at, withdrawal_seq,
    sealed) ON consent TO letterbox_deliver;
GRANT SELECT, INSERT, DELETE ON subscriber, early_event TO letterbox_deliver;
GRANT SELECT, UPDATE (seq) ON ledger_head TO letterbox_deliver;
GRANT SELECT, INSERT ON ledger_entry TO letterbox_deliver;
GRANT SELECT, UPDATE (state, upper_id, cursor_id, fanned_out_at, finished_at) ON issue
    TO letterbox_deliver;
GRANT SELECT, INSERT, UPDATE ON chunk, delivery TO letterbox_deliver;
GRANT SELECT, INSERT, UPDATE, DELETE ON mail, outbox TO letterbox_deliver;
GRANT SELECT, INSERT, UPDATE ON worker TO letterbox_deliver;

-- Operator commands: the catalogue, issues and their counts, and dead letters by their outside. No
-- table with an address, a code or a subscription in it.
GRANT SELECT, INSERT, UPDATE ON body, newsletter, notice TO letterbox_operator;
GRANT SELECT, INSERT ON issue, issue_content TO letterbox_operator;
GRANT SELECT (issue_id, state) ON delivery TO letterbox_operator;
GRANT SELECT (id, spool_id, seq, stop, reason, bytes, died_at, seen_at), UPDATE (seen_at) ON dead_request
    TO letterbox_operator;
