-- Leaving every newsletter at once, answers to people without an old mail, and a mark that changes when
-- somebody who had left comes back.

-- Set where everything was left: whose. The person's key and not a code of their address, so that nothing of
-- it stays when they are deleted.
ALTER TABLE unsubscribe ADD COLUMN subscriber_id bigint REFERENCES subscriber ON DELETE SET NULL;
CREATE INDEX unsubscribe_of_everything ON unsubscribe (subscriber_id) WHERE subscriber_id IS NOT NULL;

-- 3: never email me at all
ALTER TABLE early_event DROP CONSTRAINT early_event_kind_check;
ALTER TABLE early_event ADD CONSTRAINT early_event_kind_check CHECK (kind IN (1, 2, 3));

-- Answers are counted by mailbox: so many a day, so many a week.
CREATE INDEX mail_answered ON mail (mailbox_code, created_at) WHERE kind = 4;

-- Sixteen random bytes, others each time that a sign-up or an undo may bring a subscription back to life. A web
-- role that sees the same ones as before knows that nobody came back meanwhile, and of nobody who did.
CREATE TABLE resumption (
    only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    mark     bytea   NOT NULL CHECK (octet_length(mark) = 16)
);
INSERT INTO resumption (mark) VALUES (decode(replace(gen_random_uuid()::text, '-', ''), 'hex'));
CREATE VIEW catalogue_resumption AS SELECT mark FROM resumption;

GRANT SELECT ON catalogue_resumption TO letterbox_unsubscribe;
GRANT UPDATE (mark) ON resumption TO letterbox_deliver;
