-- A relay that loses its directory says "no such mailbox" to everybody. What comes back of an issue is judged
-- by how much of it does: above a fifth nothing follows from it until an operator has let the issue go on.
ALTER TABLE issue ADD COLUMN bounces_count boolean NOT NULL DEFAULT false;  -- whatever their share: an operator resumed it

DROP INDEX bounce_to_judge;
CREATE INDEX bounce_to_judge ON bounce (issue_id, id) WHERE NOT judged;
CREATE INDEX bounce_of_issue ON bounce (issue_id, kind);

GRANT UPDATE (bounces_count) ON issue TO letterbox_operator;
