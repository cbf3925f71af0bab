-- A recipient's row is written once and changed twice, each time longer than before: claimed, settled.
-- A claim changes all rows of a page at once, so a page needs as much room again; the room of the first
-- version is there for the third. Then both changes touch no index (HOT).
ALTER TABLE delivery_0 SET (fillfactor = 45);
ALTER TABLE delivery_1 SET (fillfactor = 45);
ALTER TABLE delivery_2 SET (fillfactor = 45);
ALTER TABLE delivery_3 SET (fillfactor = 45);
-- Statistics know the issues of before: of a new one they say that it has hardly a row, and then a plan
-- that reads all of an issue looks as good as one that reads a chunk. Without them any issue is taken for
-- a two-hundredth of the table.
ALTER TABLE delivery_0 ALTER COLUMN issue_id SET STATISTICS 0;
ALTER TABLE delivery_1 ALTER COLUMN issue_id SET STATISTICS 0;
ALTER TABLE delivery_2 ALTER COLUMN issue_id SET STATISTICS 0;
ALTER TABLE delivery_3 ALTER COLUMN issue_id SET STATISTICS 0;
ALTER TABLE delivery ALTER COLUMN issue_id SET STATISTICS 0;
