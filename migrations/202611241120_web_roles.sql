-- What a web role sees of this database: the catalogue, through views, and its own spool row, through
-- two functions. The tables behind them stay out of its reach.

CREATE VIEW catalogue_installation AS SELECT body_id FROM installation;

CREATE VIEW catalogue_body AS
    SELECT name_en, name_cy, dpo_email, dpo_post, regulator_name_en, regulator_name_cy,
           regulator_url, colour, reply_to
    FROM body;

CREATE VIEW catalogue_newsletter AS
    SELECT id, slug, name_en, name_cy, summary_en, summary_cy, frequency_en, frequency_cy,
           sender_address, languages, retention_days, lawful_basis, open
    FROM newsletter;

CREATE VIEW catalogue_notice AS
    SELECT newsletter_id, language, version, hash, text, published_at, superseded_at
    FROM notice;

-- Whether the one who is logged in acts for this web role. session_user: inside a SECURITY DEFINER
-- function current_user is the function's owner.
CREATE FUNCTION refuse_other_role(web_role text) RETURNS void LANGUAGE plpgsql STABLE AS $$
BEGIN
    -- A closed list: text that came from outside never names a role of the cluster.
    IF web_role NOT IN ('intake', 'unsubscribe') THEN
        RAISE EXCEPTION 'there is no web role of this name' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF NOT pg_has_role(session_user, 'letterbox_' || web_role, 'MEMBER') THEN
        RAISE EXCEPTION 'the database user % is no member of letterbox_%', session_user, web_role
            USING ERRCODE = 'insufficient_privilege';
    END IF;
END $$;

-- A spool makes itself known, again with each start of its role. Which row is its own it shows by the
-- 16 random bytes of spool_id, which nobody can read here but the deliver role.
CREATE FUNCTION spool_register(own_spool_id bytea, own_role text, own_holds_stops boolean, at timestamptz)
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
        holds_stops = EXCLUDED.holds_stops, moved_at = EXCLUDED.moved_at, counter = spool.counter + 1
    RETURNING * INTO known;
    IF known.role <> own_role THEN
        RAISE EXCEPTION 'this spool belongs to another role' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN known.applied_upto;
END $$;

-- A heartbeat: one more for the spool, one tick more for the installation. Null where the spool is
-- not known, as after a restored backup.
CREATE FUNCTION spool_beat(own_spool_id bytea, oldest_stop timestamptz, at timestamptz)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    known spool%ROWTYPE;
BEGIN
    UPDATE spool SET counter = counter + 1, moved_at = at, oldest_stop_at = oldest_stop
    WHERE spool_id = own_spool_id
    RETURNING * INTO known;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM refuse_other_role(known.role);
    UPDATE installation SET tick = tick + 1;
    RETURN known.applied_upto;
END $$;

-- The functions run with their owner's rights: names in them mean ours, whatever the caller's
-- search_path says, and nothing of a caller's temporary tables.
DO $$
DECLARE
    function regprocedure;
BEGIN
    FOREACH function IN ARRAY ARRAY[
        'refuse_other_role(text)', 'spool_register(bytea, text, boolean, timestamptz)',
        'spool_beat(bytea, timestamptz, timestamptz)']::regprocedure[]
    LOOP
        EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, %I, pg_temp',
                       function, current_schema());
    END LOOP;
END $$;

-- ALWAYS: also where session_replication_role would switch triggers off.
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_is_append_only;
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_is_never_emptied;
ALTER TABLE notice ENABLE ALWAYS TRIGGER notice_text_is_fixed;
ALTER TABLE notice ENABLE ALWAYS TRIGGER notice_is_kept;
