-- Notices of the payment provider, and refund obligations.

-- name: record_notice
-- A repeated notice changes nothing, unless its first outcome was not final.
INSERT INTO payment_notices AS known (
    notice_id, kind, booking_id, payment_id, event_id, amount_minor, currency, outcome,
    received_at_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, now_ms())
ON CONFLICT (notice_id, booking_id) DO UPDATE SET outcome = excluded.outcome
WHERE known.outcome NOT IN ('confirmed', 'late_confirmed', 'refund_due')
    AND known.outcome <> excluded.outcome;

-- name: owe_forgotten
-- Stores a payment that Redis has no record of, because its booking ended long ago, is unknown or has
-- too many payments. The payment is owed once. A missing amount or currency is that of the booking, or
-- the currency is XXX (none). An unchecked payment of the same amount is the same payment. Without any
-- amount, no payment is stored; the notice remains.
INSERT INTO payments AS known (
    booking_id, payment_id, event_id, customer_id, amount_minor, currency, source, outcome, reason,
    owed_minor, paid_at_ms)
SELECT $1, paid.id, $3, b.customer_id, paid.amount_minor, paid.currency, 'provider', 'refund_due',
    $6, paid.amount_minor, now_ms()
FROM (SELECT $1::text AS booking_id) told
    LEFT JOIN bookings b ON b.booking_id = told.booking_id
    LEFT JOIN events e ON e.event_id = $3::text
    CROSS JOIN LATERAL (
        SELECT coalesce($4::bigint, b.amount_minor) AS amount_minor,
            coalesce($5::text, b.currency, e.currency, 'XXX') AS currency) said
    CROSS JOIN LATERAL (
        SELECT said.*, coalesce($2::text, concat('provider:', split_part($1, ':', 2), ':',
            said.amount_minor, said.currency)) AS id) paid
WHERE paid.amount_minor IS NOT NULL AND NOT EXISTS (
    SELECT FROM payments p
    WHERE p.booking_id = $1 AND p.payment_id <> paid.id
        AND (p.provider_id = paid.id OR p.source = 'unchecked'
            AND (p.amount_minor, p.currency) = (paid.amount_minor, paid.currency)))
ON CONFLICT (booking_id, payment_id) DO UPDATE SET
    outcome = excluded.outcome, amount_minor = excluded.amount_minor,
    currency = excluded.currency, reason = excluded.reason,
    owed_minor = greatest(0, excluded.amount_minor - known.refunded_minor)
WHERE known.outcome IN ('processing', 'payment_failed', 'refunded', 'disputed');

-- name: refund_forgotten
-- Stores a refund of a payment that Redis has no record of; $4 is the total paid back so far. The amount
-- of a payment that has not succeeded yet is not certain: it is at least the total paid back.
INSERT INTO payments AS known (
    booking_id, payment_id, event_id, customer_id, amount_minor, currency, source, outcome,
    refunded_minor, paid_at_ms)
SELECT $1, $2, $3, b.customer_id, paid.amount_minor,
    coalesce($5::text, b.currency, 'XXX'),
    'provider', 'refunded', paid.amount_minor, now_ms()
FROM (SELECT $1::text AS booking_id) told
    LEFT JOIN bookings b ON b.booking_id = told.booking_id
    CROSS JOIN LATERAL (SELECT coalesce($4::bigint, b.amount_minor) AS amount_minor) paid
WHERE paid.amount_minor IS NOT NULL
ON CONFLICT (booking_id, payment_id) DO UPDATE SET
    amount_minor = CASE
        WHEN known.outcome IN ('processing', 'payment_failed', 'refunded', 'disputed')
            THEN greatest(known.amount_minor, $4)
        ELSE known.amount_minor
    END,
    refunded_minor = greatest(known.refunded_minor, CASE
        WHEN known.outcome IN ('processing', 'payment_failed', 'refunded', 'disputed')
            THEN coalesce($4, known.amount_minor)
        ELSE least(coalesce($4, known.amount_minor), known.amount_minor)
    END),
    owed_minor = CASE WHEN known.owed_minor = 0 THEN 0 ELSE least(known.owed_minor, greatest(
        0, known.amount_minor - least(coalesce($4, known.amount_minor), known.amount_minor))) END;

-- name: dispute_forgotten
UPDATE payments SET disputed_at_ms = coalesce(disputed_at_ms, now_ms())
WHERE booking_id = $1 AND (payment_id = $2 OR provider_id = $2);

-- name: find_booking
-- The booking of a payment, for notices that name only the payment, such as disputes.
SELECT booking_id FROM payments WHERE payment_id = $1 OR provider_id = $1
ORDER BY paid_at_ms DESC
LIMIT 1;

-- name: is_live
-- Whether a restore can bring the booking back. It cannot bring back a hold of an older epoch than the
-- newest in the journal: the last restore finished without that hold. The epoch of the event is no
-- substitute, because it changes when a restore begins, that of the journal when it ends.
-- Nor can it bring back one whose deadline is a day ago: its end was known and is forgotten.
SELECT EXISTS (SELECT FROM bookings WHERE booking_id = $1 AND status = 'confirmed')
    OR EXISTS (
        SELECT FROM pending_bookings p
        WHERE p.booking_id = $1
            AND p.epoch = (SELECT max(j.epoch) FROM journal j WHERE j.event_id = p.event_id)
            AND (p.body ->> 'expires_at_ms')::bigint > now_ms() - 86400000);

-- name: list_notices
SELECT notice_id AS id, number, kind, booking_id, payment_id, event_id, amount_minor, currency,
    outcome, received_at_ms
FROM payment_notices
WHERE event_id = $1 AND ($2::text IS NULL OR outcome = $2) AND ($3::bigint IS NULL OR number < $3)
ORDER BY number DESC
LIMIT $4;

-- name: list_refunds
SELECT obligation_id AS id, payment_id, booking_id, event_id, customer_id, amount_minor, currency,
    reason, due_at_ms, settled_at_ms, settled_by, reference
FROM refund_obligations
WHERE event_id = $1 AND ($2::boolean IS NULL OR (settled_at_ms IS NOT NULL) = $2)
    AND ($3::bigint IS NULL OR (due_at_ms, obligation_id) > ($3, $4::text))
ORDER BY due_at_ms, obligation_id
LIMIT $5;

-- name: find_owner
SELECT owner_id FROM events WHERE event_id = $1;

-- name: list_refunds_without_event
-- Of payments whose event is not known: the provider named a booking that this installation never had.
SELECT obligation_id AS id, payment_id, booking_id, event_id, customer_id, amount_minor, currency,
    reason, due_at_ms, settled_at_ms, settled_by, reference
FROM refund_obligations r
WHERE NOT EXISTS (SELECT FROM events e WHERE e.event_id = r.event_id)
    AND ($1::boolean IS NULL OR (settled_at_ms IS NOT NULL) = $1)
    AND ($2::bigint IS NULL OR (due_at_ms, obligation_id) > ($2, $3::text))
ORDER BY due_at_ms, obligation_id
LIMIT $4;

-- name: find_refunds
-- An obligation by its id, or the obligations of a booking.
SELECT obligation_id AS id, payment_id, booking_id, event_id, customer_id, amount_minor, currency,
    reason, due_at_ms, settled_at_ms, settled_by, reference
FROM refund_obligations
WHERE obligation_id = $1 OR booking_id = $1
ORDER BY due_at_ms, obligation_id
LIMIT 50;

-- name: settle_refund
-- The first settlement is kept.
UPDATE refund_obligations SET
    settled_at_ms = coalesce(settled_at_ms, now_ms()),
    reference = CASE WHEN settled_at_ms IS NULL THEN $3 ELSE reference END,
    settled_by = coalesce(settled_by, $2)
WHERE obligation_id = $1
RETURNING obligation_id AS id, payment_id, booking_id, event_id, customer_id, amount_minor,
    currency, reason, due_at_ms, settled_at_ms, settled_by, reference;
