-- How many an issue was for, counted when its audience was written down: what becomes of its rows is compared
-- with it, also when they are deleted after 35 days.
ALTER TABLE issue ADD COLUMN past_audience bigint NOT NULL DEFAULT 0;
UPDATE issue SET past_audience = past_accepted + past_suppressed + past_failed + past_uncertain;
GRANT UPDATE (past_audience) ON issue TO letterbox_deliver;
