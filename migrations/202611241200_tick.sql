-- The tick is one row, which every heartbeat counts up. Whoever held it, a worker whose machine vanished
-- in the middle or a stolen login, stopped the hearts of all others. Now it is counted up by whoever
-- finds it free, and nobody waits for it.
CREATE OR REPLACE FUNCTION spool_beat(own_spool_id bytea, oldest_stop timestamptz, at timestamptz)
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
    UPDATE installation SET tick = tick + 1
    WHERE tick IN (SELECT tick FROM installation FOR UPDATE SKIP LOCKED);
    RETURN known.applied_upto;
END $$;

-- Replacing it took the search_path away again.
DO $$
BEGIN
    EXECUTE format('ALTER FUNCTION spool_beat(bytea, timestamptz, timestamptz)
                    SET search_path = pg_catalog, %I, pg_temp', current_schema());
END $$;
