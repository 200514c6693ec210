-- The webhooks of organisers and the deliveries of their messages.
-- Where a time is a parameter, NULL means the clock of the database.

-- name: create_webhook
-- The same id is a repeated request whose response was lost: the webhook gets a new secret.
INSERT INTO webhooks (
    webhook_id, owner_id, event_id, any_owner, url, kinds, secret, created_at_ms)
SELECT $1, $2, $3, $4, $5, $6, $7, now_ms()
WHERE (SELECT count(*) FROM webhooks WHERE owner_id = $2 AND webhook_id <> $1) < $8
ON CONFLICT (webhook_id) DO UPDATE SET event_id = excluded.event_id,
    any_owner = excluded.any_owner, url = excluded.url, kinds = excluded.kinds,
    secret = excluded.secret
WHERE webhooks.owner_id = excluded.owner_id
RETURNING webhook_id AS id, owner_id, event_id, any_owner, url, kinds, created_at_ms,
    disabled_at_ms, disabled_why;

-- name: list_webhooks
SELECT webhook_id AS id, owner_id, event_id, any_owner, url, kinds, created_at_ms,
    disabled_at_ms, disabled_why
FROM webhooks
WHERE webhook_id > $3 AND CASE WHEN $2::text IS NULL THEN owner_id = $1
    ELSE event_id = $2 OR (event_id IS NULL AND owner_id = $1) END
ORDER BY webhook_id
LIMIT $4;

-- name: read_webhook
SELECT webhook_id AS id, owner_id, event_id, any_owner, url, kinds, created_at_ms,
    disabled_at_ms, disabled_why
FROM webhooks
WHERE webhook_id = $1 AND ($2 = '' OR owner_id = $2
    OR event_id IN (SELECT e.event_id FROM events e WHERE e.owner_id = $2));

-- name: delete_webhook
DELETE FROM webhooks WHERE webhook_id = $1 AND ($2 = '' OR owner_id = $2
    OR event_id IN (SELECT e.event_id FROM events e WHERE e.owner_id = $2))
RETURNING webhook_id AS id, owner_id, event_id, any_owner, url, kinds, created_at_ms,
    disabled_at_ms, disabled_why;

-- name: list_deliveries
SELECT message_id AS id, number, kind, event_id, booking_id, state, attempt_count, created_at_ms,
    due_ms, done_at_ms, status, error
FROM webhook_deliveries
WHERE webhook_id = $1 AND ($2::text IS NULL OR state = $2) AND ($3::bigint IS NULL OR number < $3)
ORDER BY number DESC
LIMIT $4;

-- name: lock_webhook
-- Every transaction that changes a webhook and its deliveries takes this lock first: no deadlock.
SELECT FROM webhooks WHERE webhook_id = $1 FOR NO KEY UPDATE;

-- name: enable_webhook
UPDATE webhooks SET disabled_at_ms = NULL, disabled_why = NULL, failure_count = 0, rest_until_ms = 0
WHERE webhook_id = $1;

-- name: replay_delivery
-- Without the entry there is nothing to send: a booking that ended unpaid leaves the journal.
UPDATE webhook_deliveries SET
    state = 'pending', attempt_count = 0, done_at_ms = NULL, due_ms = now_ms()
WHERE webhook_id = $1 AND message_id = $2 AND EXISTS (
    SELECT FROM journal j
    WHERE j.event_id = webhook_deliveries.event_id AND j.epoch = webhook_deliveries.epoch
        AND j.entry_ms = webhook_deliveries.entry_ms AND j.entry_seq = webhook_deliveries.entry_seq)
RETURNING message_id;

-- name: replay_messages
-- Every message in the journal for this webhook since a time, the oldest first and at most $3. A delivery
-- that does not exist, or was deleted, is made again under the same id.
WITH told AS (
    SELECT j.event_id, j.epoch, j.entry_ms, j.entry_seq, j.booking_id, m.kind
    FROM webhooks w
    JOIN events e ON (w.event_id IS NULL OR e.event_id = w.event_id)
        AND may_receive(w.owner_id, w.any_owner, e.owner_id)
    JOIN journal j ON j.event_id = e.event_id AND j.entry_ms >= $2
    CROSS JOIN unnest(message_kinds(j.kind, j.body)) AS m (kind)
    WHERE w.webhook_id = $1 AND m.kind = ANY (w.kinds)
    ORDER BY j.entry_ms, j.event_id, j.entry_seq
    LIMIT $3)
INSERT INTO webhook_deliveries (
    message_id, webhook_id, event_id, epoch, entry_ms, entry_seq, kind, booking_id,
    created_at_ms, due_ms)
SELECT message_id($1, event_id, epoch, entry_ms, entry_seq, kind), $1, event_id, epoch, entry_ms, entry_seq, kind, booking_id,
    now_ms(), now_ms()
FROM told
ORDER BY entry_ms, event_id, entry_seq
ON CONFLICT (message_id) DO UPDATE SET
    state = 'pending', attempt_count = 0, done_at_ms = NULL, due_ms = excluded.due_ms
RETURNING entry_ms;

-- name: make_deliveries
-- Takes entries from the queue and makes a delivery for every webhook that subscribes to them.
-- An entry waits until the event's row is written, because only that row has the owner.
WITH taken AS (
    DELETE FROM webhook_queue
    WHERE ctid = ANY (ARRAY(
        SELECT q.ctid
        FROM webhook_queue q JOIN events e USING (event_id)
        ORDER BY q.number
        LIMIT $2
        FOR UPDATE OF q SKIP LOCKED))
    RETURNING event_id, epoch, entry_ms, entry_seq, number),
entry AS MATERIALIZED (
    -- One at a time by the whole primary key: a join may read the journal of the event for each.
    SELECT t.*, j.booking_id, m.kind
    FROM taken t
    CROSS JOIN LATERAL (
        SELECT one.booking_id, one.kind, one.body FROM journal one
        WHERE one.event_id = t.event_id AND one.epoch = t.epoch
            AND one.entry_ms = t.entry_ms AND one.entry_seq = t.entry_seq
        LIMIT 1) j
    CROSS JOIN unnest(message_kinds(j.kind, j.body)) AS m (kind)),
receiver AS MATERIALIZED (
    SELECT e.event_id, w.webhook_id, w.kinds
    FROM (SELECT DISTINCT event_id FROM taken) t
    JOIN events e USING (event_id)
    JOIN webhooks w ON (w.event_id IS NULL OR w.event_id = e.event_id)
        AND w.disabled_at_ms IS NULL AND may_receive(w.owner_id, w.any_owner, e.owner_id)),
made AS (
    INSERT INTO webhook_deliveries (
        message_id, webhook_id, event_id, epoch, entry_ms, entry_seq, kind, booking_id,
        created_at_ms, due_ms)
    SELECT message_id(r.webhook_id, n.event_id, n.epoch, n.entry_ms, n.entry_seq, n.kind),
        r.webhook_id, n.event_id, n.epoch, n.entry_ms, n.entry_seq, n.kind, n.booking_id,
        c.now_ms, c.now_ms
    FROM entry n
    JOIN receiver r ON r.event_id = n.event_id AND n.kind = ANY (r.kinds)
    CROSS JOIN (SELECT now_ms($1)) c
    ORDER BY n.number, n.kind
    ON CONFLICT DO NOTHING)
SELECT count(*) FROM taken;

-- name: claim_deliveries
-- Claims a few due messages of each webhook that is not backing off and that this deliverer is not serving; of
-- a failing webhook a single message, as a probe. A message waits while an earlier one of its booking has not
-- been tried. The owners take turns: the first message of every owner comes before the second of any, counted
-- from the messages that the owner has in flight already ($6, $7). `turn` is that count with this message, and
-- an owner may have at most as many messages in flight as are free for the others ($5, less those claimed).
-- Reads the messages of 64 owners at most, those with the fewest in flight: the next claim reads others.
WITH clock AS (SELECT now_ms($1)),
owner AS (
    SELECT w.owner_id, coalesce(flight.count, 0) AS in_flight
    FROM clock CROSS JOIN webhooks w
    LEFT JOIN unnest($6::text[], $7::int[]) AS flight (owner_id, count) USING (owner_id)
    WHERE w.disabled_at_ms IS NULL AND w.rest_until_ms <= clock.now_ms
        AND w.webhook_id <> ALL ($2::text[]) AND coalesce(flight.count, 0) < $5
        AND EXISTS (SELECT FROM webhook_deliveries d WHERE d.webhook_id = w.webhook_id
            AND d.state = 'pending' AND d.due_ms <= clock.now_ms)
    GROUP BY w.owner_id, flight.count
    ORDER BY in_flight, random()
    LIMIT 64),
candidate AS (
    SELECT one.message_id, one.chance, owner.in_flight + row_number() OVER (
        PARTITION BY owner.owner_id ORDER BY one.chance, one.due_ms, one.number) AS turn
    FROM owner
    CROSS JOIN LATERAL (
        SELECT d.*, w.chance
        FROM clock
        CROSS JOIN (SELECT *, random() AS chance FROM webhooks
            WHERE owner_id = owner.owner_id AND disabled_at_ms IS NULL ORDER BY chance) w
        CROSS JOIN LATERAL (
            SELECT one.message_id, one.due_ms, one.number
            FROM webhook_deliveries one
            WHERE one.webhook_id = w.webhook_id AND one.state = 'pending'
                AND one.due_ms <= clock.now_ms
                AND NOT EXISTS (
                    SELECT FROM webhook_deliveries first
                    WHERE first.webhook_id = one.webhook_id AND first.booking_id = one.booking_id
                        AND first.number < one.number
                        AND first.state = 'pending' AND first.attempt_count = 0
                    OFFSET 0)  -- for each row, by an index: a join could read the whole table
            ORDER BY one.due_ms, one.number
            LIMIT CASE WHEN w.failure_count = 0 THEN $4::int ELSE 1 END) d
        WHERE w.rest_until_ms <= clock.now_ms AND w.webhook_id <> ALL ($2::text[])
        LIMIT ($5 - owner.in_flight + 1) / 2) one),  -- more would be over the owner's share
ranked AS (
    SELECT message_id, turn, row_number() OVER (ORDER BY turn, chance) AS place
    FROM candidate),
due AS (
    SELECT d.message_id
    FROM ranked JOIN webhook_deliveries d USING (message_id), clock
    WHERE ranked.turn <= $5 - ranked.place + 1
        AND d.state = 'pending' AND d.due_ms <= clock.now_ms
    FOR UPDATE OF d SKIP LOCKED)
UPDATE webhook_deliveries d SET due_ms = clock.now_ms + $3
FROM due, clock, journal j, webhooks w
WHERE d.message_id = due.message_id AND w.webhook_id = d.webhook_id
    AND j.event_id = d.event_id AND j.epoch = d.epoch
    AND j.entry_ms = d.entry_ms AND j.entry_seq = d.entry_seq
RETURNING d.message_id, d.number, d.webhook_id, w.owner_id, d.event_id, d.kind, d.attempt_count,
    w.url, w.secret, w.failure_count, j.at_ms, j.body::text,
    (SELECT may_receive(w.owner_id, w.any_owner, e.owner_id)
        FROM events e WHERE e.event_id = d.event_id) AS permitted;

-- name: record_attempts
UPDATE webhook_deliveries d SET attempt_count = d.attempt_count + 1, state = r.state,
    due_ms = c.now_ms + r.delay_ms, status = r.status, error = r.error,
    done_at_ms = CASE WHEN r.state <> 'pending' THEN c.now_ms END
FROM unnest($2::text[], $3::text[], $4::bigint[], $5::int[], $6::text[])
        AS r (message_id, state, delay_ms, status, error),
    (SELECT now_ms($1)) c
WHERE d.message_id = r.message_id AND d.state = 'pending';

-- name: record_health
UPDATE webhooks SET failure_count = $3, rest_until_ms = $4 + now_ms($1)
WHERE webhook_id = $2;

-- name: disable_webhook
UPDATE webhooks SET disabled_why = $3, disabled_at_ms = now_ms($1)
WHERE webhook_id = $2 AND disabled_at_ms IS NULL;

-- name: give_up_deliveries
UPDATE webhook_deliveries SET state = 'dead', error = $3, done_at_ms = now_ms($1)
WHERE webhook_id = $2 AND state = 'pending' AND ($4::text IS NULL OR event_id = $4);

-- name: read_oldest
-- The age of the oldest message that is not delivered yet.
SELECT now_ms($1) - least(
    (SELECT min(created_at_ms) FROM webhook_deliveries WHERE state = 'pending'),
    (SELECT min(entry_ms) FROM (
        SELECT entry_ms FROM webhook_queue ORDER BY number LIMIT 100) AS first)) AS age_ms;

-- name: forget_deliveries
DELETE FROM webhook_deliveries
WHERE message_id IN (
    SELECT message_id FROM webhook_deliveries
    WHERE state <> 'pending' AND done_at_ms < now_ms($1) - $2
    LIMIT 5000
    FOR UPDATE SKIP LOCKED);
