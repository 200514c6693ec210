-- What the provider said, and what is to be paid back.

-- name: record_notice
-- The same notice again changes nothing, unless what was open has come to an end since.
INSERT INTO payment_notices AS known (
    notice_id, kind, booking_id, event_id, amount_minor, currency, outcome, received_at_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, now_ms())
ON CONFLICT (notice_id) DO UPDATE SET outcome = excluded.outcome
WHERE known.outcome NOT IN ('confirmed', 'refund_due') AND known.outcome <> excluded.outcome;

-- name: owe_forgotten
-- A payment for a booking that ended so long ago that Redis has forgotten it: what was paid is
-- owed, once. A booking that is live here is no case of this: reconcile has to look at it.
INSERT INTO refund_obligations (
    booking_id, event_id, customer_id, amount_minor, currency, reason, due_at_ms)
SELECT booking_id, event_id, customer_id, coalesce($2, amount_minor), coalesce($3, currency),
    'booking_forgotten', now_ms()
FROM bookings
WHERE booking_id = $1 AND status IN ('expired', 'released') AND coalesce($2, amount_minor) > 0
ON CONFLICT DO NOTHING;

-- name: is_live
-- A hold of an older epoch came after a restore, which had decided without it: it comes back no more.
-- The journal says so, not the event: its epoch begins with a restore, the journal's with its end.
SELECT EXISTS (SELECT FROM bookings WHERE booking_id = $1 AND status = 'confirmed')
    OR EXISTS (
        SELECT FROM pending_bookings p
        WHERE p.booking_id = $1
            AND p.epoch = (SELECT max(j.epoch) FROM journal j WHERE j.event_id = p.event_id));

-- name: list_notices
SELECT notice_id AS id, number, kind, booking_id, event_id, amount_minor, currency, outcome,
    received_at_ms
FROM payment_notices
WHERE event_id = $1 AND ($2::text IS NULL OR outcome = $2) AND ($3::bigint IS NULL OR number < $3)
ORDER BY number DESC
LIMIT $4;

-- name: list_refunds
SELECT booking_id, event_id, customer_id, amount_minor, currency, reason, due_at_ms,
    settled_at_ms, settled_by, reference
FROM refund_obligations
WHERE event_id = $1 AND ($2::boolean IS NULL OR (settled_at_ms IS NOT NULL) = $2)
    AND ($3::bigint IS NULL OR (due_at_ms, booking_id) > ($3, $4::text))
ORDER BY due_at_ms, booking_id
LIMIT $5;

-- name: settle_refund
-- The first who says so is kept.
UPDATE refund_obligations SET
    settled_at_ms = coalesce(settled_at_ms, now_ms()),
    reference = CASE WHEN settled_at_ms IS NULL THEN $3 ELSE reference END,
    settled_by = coalesce(settled_by, $2)
WHERE booking_id = $1
RETURNING booking_id, event_id, customer_id, amount_minor, currency, reason, due_at_ms,
    settled_at_ms, settled_by, reference;
