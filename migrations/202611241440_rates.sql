-- What all workers share of the way to the relay (reliability.md 2.4). There is one route, the relay: 0, as
-- in chunk.route.
CREATE TABLE route (
    id         smallint    PRIMARY KEY,
    -- Up to this moment the rate is spent. By the server's clock: workers' clocks differ.
    spent_upto timestamptz NOT NULL DEFAULT 'epoch',
    -- The relay said 4.7.x: a mail a minute until then.
    held_since timestamptz,
    held_until timestamptz
);
INSERT INTO route (id) VALUES (0);

-- One row a day (UTC) on which mails were counted.
CREATE TABLE rate_window (
    route     smallint NOT NULL REFERENCES route,
    day       date     NOT NULL,
    granted   bigint   NOT NULL DEFAULT 0,     -- mails that workers may send or have sent
    answered  bigint   NOT NULL DEFAULT 0,     -- of which the relay said something about the recipient
    throttled bigint   NOT NULL DEFAULT 0,     -- and said 4.7.x
    PRIMARY KEY (route, day)
);

GRANT SELECT, UPDATE (spent_upto, held_since, held_until) ON route TO letterbox_deliver;
GRANT SELECT, INSERT (route, day), UPDATE (granted, answered, throttled) ON rate_window TO letterbox_deliver;
