PRAGMA foreign_keys=OFF;
BEGIN TRANSACTION;
CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
INSERT INTO meta VALUES('schema',1);
INSERT INTO meta VALUES('secret','ecaa2fb12d11e79b6b351396eb3280cd');
CREATE TABLE event (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE -- a name that was deleted may come again, under another key
);
INSERT INTO event VALUES(2,'gala');
CREATE TABLE fact (
    -- One row a fact, only ever added: what an event is, is what its rows add up to, in the order of their ids. A reset is a row
    -- like any other and clears nothing here; so whatever it clears from the event is archived already.
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    at INTEGER NOT NULL,    -- milliseconds since 1970-01-01T00:00:00Z
    actor TEXT NOT NULL,
    kind TEXT NOT NULL,
    v INTEGER NOT NULL,     -- the version of the body's layout
    body TEXT NOT NULL      -- a JSON object
);
INSERT INTO fact VALUES(6,2,1795849880318,'admin','opened',2,'{"id":"gala","settings":{"title":"Gala","participants_max":100,"groups":false,"weights":false,"consent_text":null,"privacy_purpose":null,"rehearsal":false},"session":"64d0bd2023cfda4a98662691fd3653c7","epoch":"29f9b7bb07cf8e8d"}');
INSERT INTO fact VALUES(7,2,1795849880349,'phone','registered',1,'{"number":1,"key":"1a12a36440292956f0741faa9d3d1aa35dfa75eb38ddd2cc203666232dfee917"}');
INSERT INTO fact VALUES(8,2,1795849880388,'phone','registered',1,'{"number":2,"key":"27df2b715332181fab7b917dde92abb90690f22fafbb35c730bd9c513c5f842e"}');
INSERT INTO fact VALUES(9,2,1795849880412,'phone','registered',1,'{"number":3,"key":"7bc560534d01acc830f50466ecd3406b859f2a93a43d62ef7e25291cd7197512"}');
INSERT INTO fact VALUES(10,2,1795849896186,'admin','started',2,'{"draw":1,"spec":{"prize_id":null,"prize_name":"TV","prize_rank":1,"prize_image":null,"mode":"list","winner_count":3},"pool":{"ranges":[[1,3]],"size":3,"through":3,"weights":[]},"sealed":"gtfo0-eK7gKvmJx6RXVTCwi6fUUR9jkw_jeuCdbJrNNRHatQtN7LX6oI7o0-CjnsEMXxtlL_wyVIYI0_e8edUPSF902ICxxz","redraw_of":null,"request":null}');
INSERT INTO fact VALUES(11,2,1795849896186,'admin','revealed',1,'{"draw":1,"sealed":{"entropy":"bea8acb90c910ad08e435ba2fba531a204657b989c6c0126fe3b5436c32c49f5","picks":[2,1,3]}}');
INSERT INTO fact VALUES(12,2,1795849896213,'admin','announced',1,'{"draw":1,"cause":"completed"}');
CREATE TABLE details (
    -- What winners handed in, encrypted, apart from the facts, and gone after LUCKYDRAW_PII_DAYS.
    event INTEGER NOT NULL,
    draw INTEGER NOT NULL,
    number INTEGER NOT NULL,
    at INTEGER NOT NULL,
    sealed BLOB NOT NULL,
    PRIMARY KEY (event, draw, number)
) WITHOUT ROWID;
CREATE INDEX fact_audit ON fact (event)
    -- The audit trail. Partial, so that a registration costs no second tree.
    WHERE kind <> 'registered'
;
CREATE VIEW participants AS
-- One row a registration. A round ends when participants are reset; the rows of the last round are current.
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
WHERE fact.kind = 'registered'
;
CREATE VIEW draws AS
-- One row a drawn number; a draw that is not revealed, or was called off, has one row without. A round ends with any reset.
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
ORDER BY started.id, pick.key
;
CREATE VIEW winners AS
-- One row a seat, in the order of picking, voided or not.
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
WHERE draws.number IS NOT NULL
;
COMMIT;
