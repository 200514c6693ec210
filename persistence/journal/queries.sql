-- The queries of `tables.py` and `rejections.py`: journal, bookings and payments.

-- name: insert_entries
-- For a batch with entries that the journal has already; a new batch is copied (`tables._copy`).
INSERT INTO journal (event_id, epoch, entry_ms, entry_seq, kind, at_ms, booking_id, body, layout)
SELECT * FROM unnest(
    $1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[], $6::bigint[], $7::text[],
    $8::json[], $9::bytea[])
ON CONFLICT DO NOTHING;

-- name: queue_entries
-- An entry that a webhook can subscribe to is queued in the entry's transaction. So the deliverer needs
-- no cursor, and does not skip an entry that commits late. Queued twice, it is one message, by its id.
INSERT INTO webhook_queue (event_id, epoch, entry_ms, entry_seq)
SELECT event_id, epoch, entry_ms, entry_seq
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[])
    AS e (event_id, epoch, entry_ms, entry_seq, kind)
WHERE kind IN ('booking_confirmed', 'booking_expired', 'booking_cancelled', 'refund_due')
    AND EXISTS (SELECT FROM webhooks WHERE disabled_at_ms IS NULL)
ON CONFLICT DO NOTHING;

-- name: share_epochs
-- Until the commit, no restore begins an epoch of these events (`begin_epoch` in `restore.sql`). It is
-- apart from `read_epochs`: a statement sees what was committed before it began, not while it waited.
SELECT pg_advisory_xact_lock_shared(hashtextextended('epoch ' || event_id, 0))
FROM unnest($1::text[]) AS event_id;

-- name: read_epochs
SELECT event_id, epoch FROM events WHERE event_id = ANY ($1::text[]);

-- name: find_outdated
-- Entries of an epoch that a restore has ended: their number in the list, whether the journal has them,
-- and the state of their bookings.
SELECT e.number, EXISTS (
    SELECT FROM journal j
    WHERE j.event_id = e.event_id AND j.epoch = e.epoch AND j.entry_ms = e.entry_ms
        AND j.entry_seq = e.entry_seq) AS known,
    b.status, b.refund_reason, coalesce((
        SELECT sum(r.amount_minor) FROM refund_obligations r
        WHERE r.booking_id = e.booking_id), 0)::bigint AS owed_minor,
    array(SELECT p.payment_id FROM payments p WHERE p.booking_id = e.booking_id) AS payment_ids
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::bigint[], $5::text[])
    WITH ORDINALITY AS e (event_id, epoch, entry_ms, entry_seq, booking_id, number)
    JOIN events v ON v.event_id = e.event_id AND v.epoch > e.epoch
    LEFT JOIN bookings b ON b.booking_id = e.booking_id;

-- name: put_bookings
-- A booking only moves forward. The same entry is written again: it changes nothing unless a repair
-- needs it. The rows are sorted so that two writers lock them in one order. Returns the bookings that
-- are now at the entry, and whether they had a row before: a new booking owns no seats yet.
INSERT INTO bookings (
    booking_id, event_id, customer_id, status, seats, areas, amount_minor, currency, held_at_ms,
    expires_at_ms, confirmed_at_ms, ended_at_ms, late, refund_minor, refund_reason, together,
    epoch, entry_ms, entry_seq)
SELECT b.booking_id, b.event_id, b.customer_id, b.status, string_to_array(b.seats, ' '), b.areas,
    b.amount_minor, b.currency, b.held_at_ms, b.expires_at_ms, b.confirmed_at_ms, b.ended_at_ms,
    b.late, b.refund_minor, b.refund_reason, b.together, b.epoch, b.entry_ms, b.entry_seq
FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::jsonb[], $7::bigint[],
    $8::text[], $9::bigint[], $10::bigint[], $11::bigint[], $12::bigint[], $13::boolean[],
    $14::bigint[], $15::text[], $16::text[], $17::int[], $18::bigint[], $19::bigint[]
) AS b (
    booking_id, event_id, customer_id, status, seats, areas, amount_minor, currency, held_at_ms,
    expires_at_ms, confirmed_at_ms, ended_at_ms, late, refund_minor, refund_reason, together,
    epoch, entry_ms, entry_seq)
ORDER BY b.booking_id
ON CONFLICT (booking_id) DO UPDATE SET
    customer_id = excluded.customer_id, status = excluded.status, seats = excluded.seats,
    areas = excluded.areas, amount_minor = excluded.amount_minor, currency = excluded.currency,
    held_at_ms = excluded.held_at_ms, expires_at_ms = excluded.expires_at_ms,
    confirmed_at_ms = excluded.confirmed_at_ms, ended_at_ms = excluded.ended_at_ms,
    late = excluded.late, refund_minor = excluded.refund_minor,
    refund_reason = excluded.refund_reason, together = excluded.together, epoch = excluded.epoch,
    entry_ms = excluded.entry_ms, entry_seq = excluded.entry_seq
WHERE (bookings.epoch, bookings.entry_ms, bookings.entry_seq)
    <= (excluded.epoch, excluded.entry_ms, excluded.entry_seq)
    -- A booking's status only moves forward, also when Redis restarted without its last second and
    -- reports less: a sale stays sold until it is cancelled. The same holds under a new epoch: a
    -- restore expires a booking that it read as a hold, and a sale written meanwhile must prevent it.
    AND (bookings.status NOT IN ('confirmed', 'cancelled')
        OR excluded.status IN (bookings.status, 'cancelled')
        OR bookings.status = 'cancelled' AND bookings.epoch < excluded.epoch)
RETURNING booking_id, xmax <> 0 AS known;

-- name: free_seats
UPDATE booking_seats s SET active = false
FROM bookings b
WHERE b.booking_id = ANY ($1::text[]) AND s.booking_id = b.booking_id AND s.active
    AND NOT (b.status = 'confirmed' AND s.seat_id = ANY (b.seats));

-- name: take_seats
-- The unique index rejects a seat that is active for another booking.
INSERT INTO booking_seats AS s (booking_id, seat_id, event_id, active)
SELECT b.booking_id, seat_id, b.event_id, b.status = 'confirmed'
FROM bookings b, unnest(b.seats) AS seat_id
WHERE b.booking_id = ANY ($1::text[]) AND b.status IN ('confirmed', 'cancelled')
ORDER BY b.booking_id, seat_id
ON CONFLICT (booking_id, seat_id) DO UPDATE SET active = excluded.active
WHERE s.active <> excluded.active;

-- name: find_owners
-- The bookings that own these seats.
SELECT seat_id, booking_id FROM booking_seats
WHERE active AND event_id = ANY ($1::text[]) AND seat_id = ANY ($2::text[]);

-- name: find_cancelled
SELECT booking_id FROM bookings
WHERE booking_id = ANY ($1::text[]) AND status = 'cancelled';

-- name: put_payments
-- Forward only, as bookings, and sorted as they are.
INSERT INTO payments AS known (
    booking_id, payment_id, event_id, customer_id, amount_minor, currency, source, outcome, note,
    provider_id, reason, owed_minor, refunded_minor, disputed_at_ms, paid_at_ms,
    epoch, entry_ms, entry_seq)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[],
    $8::text[], $9::text[], $10::text[], $11::text[], $12::bigint[], $13::bigint[],
    $14::bigint[], $15::bigint[], $16::int[], $17::bigint[], $18::bigint[]
) AS p (booking_id, payment_id)
ORDER BY p.booking_id, p.payment_id
ON CONFLICT (booking_id, payment_id) DO UPDATE SET
    event_id = excluded.event_id, customer_id = excluded.customer_id,
    amount_minor = excluded.amount_minor, currency = excluded.currency, source = excluded.source,
    outcome = excluded.outcome, note = excluded.note, provider_id = excluded.provider_id,
    reason = excluded.reason, owed_minor = excluded.owed_minor,
    refunded_minor = excluded.refunded_minor, disputed_at_ms = excluded.disputed_at_ms,
    paid_at_ms = excluded.paid_at_ms, epoch = excluded.epoch, entry_ms = excluded.entry_ms,
    entry_seq = excluded.entry_seq
WHERE (known.epoch, known.entry_ms, known.entry_seq)
    <= (excluded.epoch, excluded.entry_ms, excluded.entry_seq);

-- name: owe_payments
-- One obligation a payment. What the provider has paid back of it since is not owed any more.
INSERT INTO refund_obligations AS known (
    obligation_id, booking_id, payment_id, event_id, customer_id, amount_minor, currency, reason,
    due_at_ms)
SELECT obligation_id(booking_id, payment_id), booking_id, payment_id, event_id, customer_id,
    owed_minor, currency, coalesce(reason, ''), coalesce(nullif(entry_ms, 0), paid_at_ms)
FROM payments
WHERE booking_id = ANY ($1::text[]) AND owed_minor > 0
ORDER BY booking_id, payment_id
ON CONFLICT (obligation_id) DO UPDATE SET amount_minor = excluded.amount_minor
WHERE known.settled_at_ms IS NULL AND known.amount_minor <> excluded.amount_minor;

-- name: settle_refunded
-- What the provider has paid back in full is settled by it.
UPDATE refund_obligations r SET
    settled_at_ms = now_ms(), settled_by = 'provider', reference = p.payment_id
FROM payments p
WHERE p.booking_id = ANY ($1::text[]) AND p.owed_minor = 0 AND p.refunded_minor > 0
    AND r.booking_id = p.booking_id AND r.payment_id = p.payment_id AND r.settled_at_ms IS NULL;

-- name: list_events
SELECT event_id FROM events ORDER BY event_id;

-- name: stream_bookings
-- The bookings that Redis must have, which are the sold ones, and those that it has, given by id.
-- `sold` are the seats that the booking owns here.
SELECT b.*, array(
        SELECT s.seat_id FROM booking_seats s WHERE s.booking_id = b.booking_id AND s.active
        ORDER BY s.seat_id) AS sold,
    payments_of(b.booking_id) AS payments, obligations_of(b.booking_id) AS obligations
FROM bookings b
WHERE b.event_id = $1
    AND (b.status = 'confirmed' OR b.booking_id = ANY ($2::text[]));

-- name: sum_payments
-- For each currency of an event: what was paid, and what of it is for places that are sold, is owed,
-- and is back. Each comes from a table of its own, so that a payment without an obligation and an
-- obligation without a payment show. What a buyer of sold places got back is still a part of their price.
SELECT currency, sum(paid)::bigint AS paid_minor, sum(sold)::bigint AS sold_minor,
    sum(owed)::bigint AS owed_minor, sum(back)::bigint AS back_minor
FROM (
    SELECT p.currency, p.amount_minor, 0, 0, CASE
            WHEN b.status = 'confirmed' AND p.outcome IN ('confirmed', 'late_confirmed') THEN 0
            ELSE least(p.amount_minor, p.refunded_minor + coalesce(r.amount_minor, 0))
        END
    FROM payments p
        LEFT JOIN bookings b ON b.booking_id = p.booking_id
        LEFT JOIN refund_obligations r ON r.booking_id = p.booking_id
            AND r.payment_id = p.payment_id AND r.settled_at_ms IS NOT NULL
    WHERE p.event_id = $1
        AND p.outcome NOT IN ('processing', 'payment_failed', 'refunded', 'disputed')
    UNION ALL
    SELECT currency, 0, amount_minor, 0, 0 FROM bookings
    WHERE event_id = $1 AND status = 'confirmed'
    UNION ALL
    SELECT currency, 0, 0, amount_minor, 0 FROM refund_obligations
    WHERE event_id = $1 AND settled_at_ms IS NULL
) AS money (currency, paid, sold, owed, back)
GROUP BY currency
ORDER BY currency;

-- name: list_payments
SELECT booking_id, payment_id, amount_minor, currency FROM payments WHERE event_id = $1;

-- name: find_unaccounted
-- Payments that are neither for places that are sold, nor owed, nor back; sales that no payment has
-- bought, or not for what they cost.
SELECT p.booking_id, p.payment_id, format('%s: of %s %s are %s owed, and the booking is %s',
    p.outcome, p.amount_minor - p.refunded_minor, p.currency, coalesce(r.amount_minor, 0),
    coalesce(b.status, 'unknown')) AS detail
FROM payments p
    LEFT JOIN bookings b ON b.booking_id = p.booking_id
    LEFT JOIN refund_obligations r ON r.booking_id = p.booking_id AND r.payment_id = p.payment_id
WHERE p.event_id = $1
    AND p.outcome NOT IN ('processing', 'payment_failed', 'refunded', 'disputed')
    AND CASE
        WHEN r.settled_at_ms IS NOT NULL THEN FALSE
        WHEN b.status = 'confirmed' AND p.outcome IN ('confirmed', 'late_confirmed')
            THEN r.obligation_id IS NOT NULL
        ELSE coalesce(r.amount_minor, 0) <> p.amount_minor - p.refunded_minor
    END
UNION ALL
SELECT b.booking_id, NULL, format('sold for %s %s, and paid %s', b.amount_minor, b.currency,
    coalesce(string_agg(p.amount_minor || ' ' || p.currency, ', '), 'nothing'))
FROM bookings b LEFT JOIN payments p
    ON p.booking_id = b.booking_id AND p.outcome IN ('confirmed', 'late_confirmed')
WHERE b.event_id = $1 AND b.status = 'confirmed'
GROUP BY b.booking_id
HAVING count(p.payment_id) <> 1
    OR (max(p.amount_minor), max(p.currency)) <> (b.amount_minor, b.currency)
ORDER BY 1, 2;

-- name: find_unpaid
-- Bookings that ended unpaid over $1 ms ago, the oldest first, locked; a booking that another writer
-- has locked waits. What stays: a booking with a payment of any kind, one with a message on its way, and
-- the newest entry of an event, from which it is seen whether Redis has lost something.
SELECT b.booking_id
FROM bookings b
WHERE b.status IN ('released', 'expired') AND b.refund_reason IS NULL
    AND b.ended_at_ms < now_ms() - $1
    AND NOT EXISTS (SELECT FROM payments p WHERE p.booking_id = b.booking_id)
    AND NOT EXISTS (
        SELECT FROM webhook_deliveries d
        WHERE d.booking_id = b.booking_id AND d.state = 'pending')
    AND NOT EXISTS (
        SELECT FROM webhook_queue w
        WHERE w.event_id = b.event_id AND w.epoch = b.epoch
            AND w.entry_ms = b.entry_ms AND w.entry_seq = b.entry_seq)
    AND EXISTS (
        SELECT FROM journal j
        WHERE j.event_id = b.event_id
            AND (j.epoch, j.entry_ms, j.entry_seq) > (b.epoch, b.entry_ms, b.entry_seq))
ORDER BY b.ended_at_ms
LIMIT $2
FOR UPDATE OF b SKIP LOCKED;

-- name: forget_entries
-- Before their bookings: without those, the entries of a hold would say that it is still held.
DELETE FROM journal j
WHERE j.booking_id = ANY ($1::text[])
    AND NOT EXISTS (SELECT FROM payments p WHERE p.booking_id = j.booking_id);

-- name: forget_bookings
DELETE FROM bookings b
WHERE b.booking_id = ANY ($1::text[])
    AND NOT EXISTS (SELECT FROM journal j WHERE j.booking_id = b.booking_id);
