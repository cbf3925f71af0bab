-- Mail whose DATA came after the stop of its recipient was applied: found after the fact, by looking at who
-- had left when their mail was sent. Within two seconds is what we promise (P5); anything later is a fault,
-- and is kept until somebody has looked.
CREATE TABLE mail_after_stop (
    id           bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    issue_id     bigint      NOT NULL REFERENCES issue,
    subscription bigint      REFERENCES subscription ON DELETE SET NULL,
    stopped_at   timestamptz NOT NULL,   -- when the registrar applied the stop
    data_at      timestamptz NOT NULL,   -- when DATA went out, the latest of several
    late_ms      bigint      NOT NULL GENERATED ALWAYS AS
                             ((extract(epoch FROM data_at - stopped_at) * 1000)::bigint) STORED,
    UNIQUE (issue_id, subscription)
);
-- the person goes when their row goes
CREATE INDEX mail_after_stop_of ON mail_after_stop (subscription);

GRANT SELECT, INSERT, DELETE, UPDATE (data_at, stopped_at) ON mail_after_stop TO letterbox_deliver;
GRANT SELECT (issue_id, stopped_at, data_at, late_ms) ON mail_after_stop TO letterbox_operator;
