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
made AS (
    INSERT INTO webhook_deliveries (
        message_id, webhook_id, event_id, epoch, entry_ms, entry_seq, kind, booking_id,
        created_at_ms, due_ms)
    SELECT message_id(w.webhook_id, j.event_id, j.epoch, j.entry_ms, j.entry_seq, m.kind),
        w.webhook_id, j.event_id, j.epoch, j.entry_ms, j.entry_seq, m.kind, j.booking_id,
        c.now_ms, c.now_ms
    FROM taken t
    JOIN journal j USING (event_id, epoch, entry_ms, entry_seq)
    CROSS JOIN unnest(message_kinds(j.kind, j.body)) AS m (kind)
    JOIN events e USING (event_id)
    JOIN webhooks w ON (w.event_id IS NULL OR w.event_id = e.event_id)
        AND may_receive(w.owner_id, w.any_owner, e.owner_id)
        AND m.kind = ANY (w.kinds) AND w.disabled_at_ms IS NULL
    CROSS JOIN (SELECT now_ms($1)) c
    ORDER BY t.number, m.kind
    ON CONFLICT DO NOTHING)
SELECT count(*) FROM taken;

-- name: claim_deliveries
-- Claims a few due messages of each webhook that is not backing off and that this deliverer is not serving,
-- the webhooks in random order; of a failing webhook a single message, as a probe. A message waits while an
-- earlier one of its booking has not been tried.
WITH clock AS (SELECT now_ms($1)),
due AS (
    SELECT d.message_id, w.url, w.secret, w.failure_count, w.owner_id, w.any_owner, clock.now_ms
    FROM clock
    CROSS JOIN (SELECT * FROM webhooks WHERE disabled_at_ms IS NULL ORDER BY random()) w
    CROSS JOIN LATERAL (
        SELECT one.message_id
        FROM webhook_deliveries one
        WHERE one.webhook_id = w.webhook_id AND one.state = 'pending'
            AND one.due_ms <= clock.now_ms
            AND one.number <= coalesce((
                SELECT min(first.number) FROM webhook_deliveries first
                WHERE first.webhook_id = one.webhook_id AND first.booking_id = one.booking_id
                    AND first.state = 'pending' AND first.attempt_count = 0), one.number)
        ORDER BY one.due_ms, one.number
        LIMIT CASE WHEN w.failure_count = 0 THEN $4::int ELSE 1 END
        FOR UPDATE OF one SKIP LOCKED) d
    WHERE w.rest_until_ms <= clock.now_ms
        AND w.webhook_id <> ALL ($2::text[])
    LIMIT $5)
UPDATE webhook_deliveries d SET due_ms = due.now_ms + $3
FROM due, journal j
WHERE d.message_id = due.message_id AND d.state = 'pending' AND d.due_ms <= due.now_ms
    AND j.event_id = d.event_id AND j.epoch = d.epoch
    AND j.entry_ms = d.entry_ms AND j.entry_seq = d.entry_seq
RETURNING d.message_id, d.number, d.webhook_id, d.event_id, d.kind, d.attempt_count, due.url, due.secret,
    due.failure_count, j.at_ms, j.body::text,
    (SELECT may_receive(due.owner_id, due.any_owner, e.owner_id)
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
