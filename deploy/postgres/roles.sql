-- The four group roles that Letterbox's rights are granted to. Once for a cluster, as a superuser or
-- a user with CREATEROLE, before `letterbox migrate`, which runs this file itself where it may.
-- Doing it again changes nothing. Nobody logs in as one of them: README.md beside this file says how
-- login users are made.
DO $$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['letterbox_intake', 'letterbox_unsubscribe', 'letterbox_deliver', 'letterbox_operator'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = wanted) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', wanted);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;  -- somebody else has just made it
            END;
        END IF;
    END LOOP;
END $$;
