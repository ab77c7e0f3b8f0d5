-- Comments are inside the statements, since SQLite keeps only those: `.schema` shows them.

CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE event (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE -- the name of a deleted event may come again, under another key
);

CREATE TABLE fact (
    -- One row per fact, only ever added: an event is the sum of its rows, in the order of their ids. A reset is a row like
    -- any other and clears nothing here; so everything that it clears from the event is archived already.
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    at INTEGER NOT NULL,    -- milliseconds since 1970-01-01T00:00:00Z
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    v INTEGER NOT NULL,     -- the version of the body's layout
    body TEXT NOT NULL      -- a JSON object
);

CREATE INDEX fact_audit ON fact (event)
    -- The audit trail. Partial, so that a registration costs no second tree.
    WHERE kind <> 'registered';

CREATE TABLE details (
    -- The details that winners submitted: encrypted, apart from the facts, and deleted after LUCKYDRAW_PII_DAYS.
    event INTEGER NOT NULL,
    draw INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (event, draw, number)
) WITHOUT ROWID;

CREATE VIEW participants AS
-- One row per registration. A round ends when participants are reset; the rows of the last round are current.
WITH resets AS MATERIALIZED (
    SELECT id, event FROM fact
    WHERE kind <> 'registered' AND kind = 'reset' AND json_extract(body, '$.session') IS NOT NULL
)
SELECT
    event.id AS event,
    json_extract(fact.body, '$.number') AS number,
    strftime('%Y-%m-%dT%H:%M:%fZ', fact.at / 1000.0, 'unixepoch') AS registered_at,
    1 + (SELECT count(*) FROM resets WHERE resets.event = fact.event AND resets.id < fact.id) AS round,
    NOT EXISTS (SELECT 1 FROM resets WHERE resets.event = fact.event AND resets.id > fact.id) AS current
FROM fact JOIN event ON event.key = fact.event
WHERE fact.kind = 'registered';

CREATE VIEW draws AS
-- One row per drawn number; a draw that is not revealed, or was cancelled, has one row without. A round ends with any reset.
WITH
    resets AS MATERIALIZED (SELECT id, event FROM fact WHERE kind <> 'registered' AND kind = 'reset'),
    revealed AS MATERIALIZED (
        SELECT event, json_extract(body, '$.draw') AS draw, at, json_extract(body, '$.sealed.picks') AS picks
        FROM fact WHERE kind <> 'registered' AND kind = 'revealed'
    ),
    announced AS MATERIALIZED (
        SELECT event, json_extract(body, '$.draw') AS draw, at FROM fact WHERE kind <> 'registered' AND kind = 'announced'
    ),
    cancelled AS MATERIALIZED (
        SELECT event, json_extract(body, '$.draw') AS draw, at FROM fact WHERE kind <> 'registered' AND kind = 'cancelled'
    ),
    started AS MATERIALIZED (
        SELECT id, event, json_extract(body, '$.draw') AS draw, at,
            json_extract(body, '$.spec.prize_name') AS prize_name, json_extract(body, '$.spec.prize_rank') AS prize_rank
        FROM fact WHERE kind <> 'registered' AND kind = 'started'
    )
SELECT
    event.id AS event,
    started.draw AS draw,
    started.prize_name AS prize_name,
    started.prize_rank AS prize_rank,
    pick.value AS number,
    CASE
        WHEN cancelled.at IS NOT NULL THEN 'cancelled'
        WHEN announced.at IS NOT NULL THEN 'announced'
        WHEN revealed.at IS NOT NULL THEN 'revealed'
        ELSE 'started'
    END AS status,
    strftime('%Y-%m-%dT%H:%M:%fZ', started.at / 1000.0, 'unixepoch') AS started_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', revealed.at / 1000.0, 'unixepoch') AS revealed_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', announced.at / 1000.0, 'unixepoch') AS announced_at,
    1 + (SELECT count(*) FROM resets WHERE resets.event = started.event AND resets.id < started.id) AS round,
    NOT EXISTS (SELECT 1 FROM resets WHERE resets.event = started.event AND resets.id > started.id) AS current
FROM started JOIN event ON event.key = started.event
    LEFT JOIN revealed ON revealed.event = started.event AND revealed.draw = started.draw
    LEFT JOIN announced ON announced.event = started.event AND announced.draw = started.draw
    LEFT JOIN cancelled ON cancelled.event = started.event AND cancelled.draw = started.draw
    LEFT JOIN json_each(revealed.picks) AS pick
ORDER BY started.id, pick.key;

CREATE VIEW winners AS
-- One row per seat, in the order of picking, voided or not.
WITH
    voided AS MATERIALIZED (
        SELECT event, json_extract(body, '$.draw') AS draw, json_extract(body, '$.number') AS number, at,
            json_extract(body, '$.reason') AS reason
        FROM fact WHERE kind <> 'registered' AND kind = 'seat_voided'
    ),
    handed_in AS MATERIALIZED (
        SELECT event, json_extract(body, '$.draw') AS draw, json_extract(body, '$.number') AS number, at
        FROM fact WHERE kind <> 'registered' AND kind = 'details_received'
    ),
    arrived AS MATERIALIZED (
        SELECT event, json_extract(body, '$.draw') AS draw, json_extract(body, '$.number') AS number, at
        FROM fact WHERE kind <> 'registered' AND kind = 'arrived'
    )
SELECT
    draws.event AS event,
    draws.draw AS draw,
    draws.number AS number,
    draws.prize_name AS prize_name,
    draws.prize_rank AS prize_rank,
    draws.revealed_at AS revealed_at,
    draws.announced_at AS announced_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', voided.at / 1000.0, 'unixepoch') AS voided_at,
    voided.reason AS void_reason,
    strftime('%Y-%m-%dT%H:%M:%fZ', handed_in.at / 1000.0, 'unixepoch') AS details_at,
    strftime('%Y-%m-%dT%H:%M:%fZ', arrived.at / 1000.0, 'unixepoch') AS arrived_at,
    draws.round AS round,
    draws.current AS current
FROM draws JOIN event ON event.id = draws.event
    LEFT JOIN voided ON voided.event = event.key AND voided.draw = draws.draw AND voided.number = draws.number
    LEFT JOIN handed_in ON handed_in.event = event.key AND handed_in.draw = draws.draw AND handed_in.number = draws.number
    LEFT JOIN arrived ON arrived.event = event.key AND arrived.draw = draws.draw AND arrived.number = draws.number
WHERE draws.number IS NOT NULL;
