-- What a flood of sign-ups costs, and looks for stops in front of it.

-- A check once a statement instead of two look-ups a row. What a consent names stays: a notice is never
-- deleted (notice_is_kept), and so neither is its newsletter.
ALTER TABLE consent DROP CONSTRAINT consent_newsletter_id_fkey, DROP CONSTRAINT consent_notice_id_fkey;
CREATE FUNCTION refuse_unknown_notice() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM added LEFT JOIN notice
                   ON notice.id = added.notice_id AND notice.newsletter_id = added.newsletter_id
               WHERE notice.id IS NULL) THEN
        RAISE EXCEPTION 'a consent names a notice that its newsletter never had'
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER consent_names_its_notice
    AFTER INSERT ON consent REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_unknown_notice();
REVOKE EXECUTE ON FUNCTION refuse_unknown_notice() FROM PUBLIC;

-- Only "you already get this" is looked for by address.
DROP INDEX mail_of_address;
CREATE INDEX mail_told ON mail (address_index, created_at) WHERE kind = 2;

-- Stops are looked for often, among however many sign-ups that wait.
CREATE INDEX request_inbox_stops ON request_inbox (id) WHERE stop;
DROP INDEX request_inbox_stops_first;
