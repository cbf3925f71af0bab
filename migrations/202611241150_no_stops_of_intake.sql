-- Intake accepts no stops, so its database user ships none: one that nobody can read would keep the
-- barrier closed, and all of them are served before any sign-up.
CREATE FUNCTION refuse_stop_of_intake() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
BEGIN
    -- session_user: who has logged in, whatever role was taken since.
    IF pg_has_role(session_user, 'letterbox_intake', 'MEMBER')
       AND NOT pg_has_role(session_user, 'letterbox_unsubscribe', 'MEMBER') THEN
        RAISE EXCEPTION 'intake ships no stops' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER intake_ships_no_stops BEFORE INSERT ON request_inbox
    FOR EACH ROW WHEN (NEW.stop) EXECUTE FUNCTION refuse_stop_of_intake();
REVOKE EXECUTE ON FUNCTION refuse_stop_of_intake() FROM PUBLIC;
