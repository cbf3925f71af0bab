-- A recipient's row is written once and changed twice, each time longer than before: claimed, settled.
-- A claim changes all rows of a page at once, so a page needs as much room again; the room of the first
-- version is there for the third. Then both changes touch no index (HOT).
ALTER TABLE delivery_0 SET (fillfactor = 45);
ALTER TABLE delivery_1 SET (fillfactor = 45);
ALTER TABLE delivery_2 SET (fillfactor = 45);
ALTER TABLE delivery_3 SET (fillfactor = 45);
