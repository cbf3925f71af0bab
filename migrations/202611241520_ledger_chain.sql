-- The ledger's chain (FORMATS.md, Ledger): each entry's hash and the one that holds all before it are
-- written with it, and the head has the last. Checkpoints sign the head from outside.

ALTER TABLE ledger_head ADD COLUMN h bytea CHECK (octet_length(h) = 32); -- null: before the first entry

ALTER TABLE ledger_entry
    ADD COLUMN restored_seq bigint CHECK (restored_seq >= 0),
    ADD COLUMN restored_h   bytea CHECK (octet_length(restored_h) = 32),
    ADD CONSTRAINT ledger_entry_says_what_was_restored CHECK
        ((method = 13) = (restored_seq IS NOT NULL) AND (restored_seq IS NULL) = (restored_h IS NULL));

-- The registrar computes both hashes itself. This does it for entries that came before it, and for a
-- worker of the version before, which goes on appending while an upgrade is under way.
CREATE FUNCTION chain_ledger_entry() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    item   record;
    number bigint;
    major  integer;
    entry  bytea := CASE WHEN NEW.restored_seq IS NULL THEN '\x91' ELSE '\x93' END::bytea;
    before bytea;
BEGIN
    -- Deterministic CBOR: one array of unsigned integers, byte strings and nulls.
    FOR item IN SELECT * FROM (VALUES
        (1, 1::bigint, NULL::bytea), (2, NEW.seq, NULL), (3, NULL, NEW.event_id),
        (4, NEW.occurred_ms, NULL), (5, NEW.recorded_ms, NULL), (6, NEW.newsletter_id, NULL),
        (7, NULL, NEW.subscription_id), (8, NEW.issue, NULL), (9, NEW.method, NULL),
        (10, NEW.effect, NULL), (11, NEW.token_version, NULL), (12, NEW.kid, NULL),
        (13, NEW.key_state, NULL), (14, NEW.actor, NULL), (15, NULL, NEW.staff_reference),
        (16, NULL, NEW.decision_id), (17, NULL, NEW.spool_id), (18, NEW.restored_seq, NULL),
        (19, NULL, NEW.restored_h)) AS element (place, number, bytes) ORDER BY place
    LOOP
        EXIT WHEN item.place > 17 AND NEW.restored_seq IS NULL;
        number := coalesce(item.number, octet_length(item.bytes));
        IF number IS NULL THEN
            entry := entry || '\xf6'::bytea;
            CONTINUE;
        END IF;
        major := CASE WHEN item.bytes IS NULL THEN 0 ELSE 64 END;
        entry := entry || CASE
            WHEN number < 24         THEN set_byte('\x00', 0, major + number::integer)
            WHEN number < 256        THEN set_byte('\x00', 0, major + 24) || substr(int8send(number), 8)
            WHEN number < 65536      THEN set_byte('\x00', 0, major + 25) || substr(int8send(number), 7)
            WHEN number < 4294967296 THEN set_byte('\x00', 0, major + 26) || substr(int8send(number), 5)
            ELSE                          set_byte('\x00', 0, major + 27) || int8send(number)
        END || coalesce(item.bytes, ''::bytea);
    END LOOP;
    IF NEW.seq = 1 THEN
        SELECT sha256('letterbox/ledger/v1'::bytea || body_id) INTO before FROM catalogue_installation;
    ELSE
        SELECT h INTO before FROM ledger_entry WHERE seq = NEW.seq - 1;
    END IF;
    IF before IS NULL THEN
        RAISE EXCEPTION 'ledger entry % has nothing before it to be chained to', NEW.seq;
    END IF;
    NEW.leaf := sha256('\x00'::bytea || entry);
    NEW.h := sha256('\x01'::bytea || before || NEW.leaf);
    RETURN NEW;
END $$;

-- The head of a worker of the version before, which moves the seq alone.
CREATE FUNCTION chain_ledger_head() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT h INTO NEW.h FROM ledger_entry WHERE seq = NEW.seq;
    RETURN NEW;
END $$;

REVOKE EXECUTE ON FUNCTION chain_ledger_entry(), chain_ledger_head() FROM PUBLIC;

-- What is there already. No version before this one wrote hashes, so nothing that was promised changes.
CREATE TRIGGER ledger_is_chained BEFORE UPDATE ON ledger_entry
    FOR EACH ROW EXECUTE FUNCTION chain_ledger_entry();
ALTER TABLE ledger_entry DISABLE TRIGGER ledger_is_append_only;
DO $$
DECLARE
    place bigint;
BEGIN
    FOR place IN SELECT seq FROM ledger_entry ORDER BY seq LOOP
        UPDATE ledger_entry SET leaf = NULL WHERE seq = place;
    END LOOP;
    UPDATE ledger_head SET h = (SELECT e.h FROM ledger_entry e WHERE e.seq = ledger_head.seq);
END $$;
ALTER TABLE ledger_entry ENABLE ALWAYS TRIGGER ledger_is_append_only;
DROP TRIGGER ledger_is_chained ON ledger_entry;

CREATE TRIGGER ledger_is_chained BEFORE INSERT ON ledger_entry
    FOR EACH ROW WHEN (NEW.leaf IS NULL OR NEW.h IS NULL) EXECUTE FUNCTION chain_ledger_entry();
CREATE TRIGGER ledger_head_is_chained BEFORE UPDATE ON ledger_head
    FOR EACH ROW WHEN (NEW.seq <> OLD.seq AND NEW.h IS NOT DISTINCT FROM OLD.h)
    EXECUTE FUNCTION chain_ledger_head();
ALTER TABLE ledger_entry ALTER COLUMN leaf SET NOT NULL, ALTER COLUMN h SET NOT NULL;

-- Restores are few, and asked for often.
CREATE INDEX ledger_entry_restores ON ledger_entry (seq) WHERE method = 13;

-- The head, signed by a key that the database never sees. Copies of these are outside of it; this table is
-- for whoever verifies without them.
CREATE TABLE ledger_checkpoint (
    seq        bigint NOT NULL CHECK (seq >= 0),
    h          bytea  NOT NULL CHECK (octet_length(h) = 32),
    time_ms    bigint NOT NULL CHECK (time_ms >= 0),
    signature  bytea  NOT NULL CHECK (octet_length(signature) = 64),
    public_key bytea  NOT NULL CHECK (octet_length(public_key) = 32),
    PRIMARY KEY (seq, h, public_key)
);
CREATE TRIGGER checkpoints_are_append_only BEFORE UPDATE OR DELETE ON ledger_checkpoint
    FOR EACH ROW EXECUTE FUNCTION refuse_changed_ledger();
CREATE TRIGGER checkpoints_are_never_emptied BEFORE TRUNCATE ON ledger_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_changed_ledger();
ALTER TABLE ledger_checkpoint ENABLE ALWAYS TRIGGER checkpoints_are_append_only;
ALTER TABLE ledger_checkpoint ENABLE ALWAYS TRIGGER checkpoints_are_never_emptied;

GRANT UPDATE (h) ON ledger_head TO letterbox_deliver;
GRANT SELECT, INSERT ON ledger_checkpoint TO letterbox_deliver;
-- Whoever verifies or exports. An entry holds no person: random ids, whose meaning dies with the person's
-- rows, and numbers.
GRANT SELECT ON ledger_entry, ledger_checkpoint TO letterbox_operator;
GRANT SELECT ON ledger_head TO letterbox_operator;
