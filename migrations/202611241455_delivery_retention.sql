-- Who got an issue is forgotten 35 days after its end, when no bounce of it comes any more; how many
-- got it is kept.
ALTER TABLE issue
    ADD COLUMN past_accepted   bigint NOT NULL DEFAULT 0,
    ADD COLUMN past_suppressed bigint NOT NULL DEFAULT 0,
    ADD COLUMN past_failed     bigint NOT NULL DEFAULT 0,
    ADD COLUMN past_uncertain  bigint NOT NULL DEFAULT 0;
GRANT UPDATE (past_accepted, past_suppressed, past_failed, past_uncertain) ON issue TO letterbox_deliver;
GRANT DELETE ON delivery, chunk TO letterbox_deliver;
