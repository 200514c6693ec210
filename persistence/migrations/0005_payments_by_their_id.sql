-- Every payment under the provider's id of it, and what is owed by payment
-- (docs/decisions/0025-a-payment-has-its-own-identity.md).

-- What came of every payment that was reported for a booking. The writer brings them from the
-- bookings of the journal; those for a booking that Redis does not know are written by the API.
-- (epoch, entry_ms, entry_seq) is the newest journal entry the row has seen: a row only moves forward.
CREATE TABLE payments (
    booking_id     text    NOT NULL,   -- as the provider said it: there may be no such booking
    payment_id     text    NOT NULL,   -- the provider's; <source>:<ulid> of one that has none
    event_id       text,               -- null: booking_id is not of our form
    customer_id    text,               -- null: nothing is known of the booking
    amount_minor   bigint  NOT NULL CHECK (amount_minor >= 0),
    currency       text    NOT NULL,
    source         text    NOT NULL,   -- provider, box_office, unchecked, free
    outcome        text    NOT NULL,
    note           text,               -- of the box office
    provider_id    text,               -- of a payment that was unchecked before the provider's word
    reason         text,               -- why it is owed
    owed_minor     bigint  NOT NULL DEFAULT 0 CHECK (owed_minor >= 0),
    refunded_minor bigint  NOT NULL DEFAULT 0,  -- what the provider has paid back, in total
    disputed_at_ms bigint,
    paid_at_ms     bigint  NOT NULL,
    epoch          integer NOT NULL DEFAULT 0,
    entry_ms       bigint  NOT NULL DEFAULT 0,
    entry_seq      bigint  NOT NULL DEFAULT 0,
    PRIMARY KEY (booking_id, payment_id)
);
CREATE INDEX payments_of_event ON payments (event_id, booking_id);
CREATE INDEX payments_by_id ON payments (payment_id);

-- The same for ever, wherever it is computed.
CREATE FUNCTION obligation_id(booking_id text, payment_id text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT 'ref_' || left(encode(sha256(convert_to(booking_id || ' ' || payment_id, 'UTF8')), 'hex'), 32)
$$;

-- What was sold or owed before had one payment, which no provider had checked.
INSERT INTO payments (
    booking_id, payment_id, event_id, customer_id, amount_minor, currency, source, outcome, reason,
    owed_minor, paid_at_ms, epoch, entry_ms, entry_seq)
SELECT b.booking_id, 'unchecked:' || split_part(b.booking_id, ':', 2), b.event_id, b.customer_id,
    coalesce(r.amount_minor, b.amount_minor), coalesce(r.currency, b.currency), 'unchecked',
    CASE
        WHEN b.status NOT IN ('confirmed', 'cancelled') THEN 'refund_due'
        WHEN b.late THEN 'late_confirmed'
        ELSE 'confirmed'
    END,
    r.reason, coalesce(r.amount_minor, 0), coalesce(b.confirmed_at_ms, b.ended_at_ms, 0),
    b.epoch, b.entry_ms, b.entry_seq
FROM bookings b LEFT JOIN refund_obligations r USING (booking_id)
WHERE b.status IN ('confirmed', 'cancelled') OR r.booking_id IS NOT NULL;

-- An obligation exists only against a recorded payment, once for each.
ALTER TABLE refund_obligations
    DROP CONSTRAINT refund_obligations_pkey,
    DROP CONSTRAINT refund_obligations_booking_id_fkey,
    ADD COLUMN payment_id text,
    ADD COLUMN obligation_id text,
    ALTER COLUMN event_id DROP NOT NULL,
    ALTER COLUMN customer_id DROP NOT NULL;
UPDATE refund_obligations SET
    payment_id = 'unchecked:' || split_part(booking_id, ':', 2),
    obligation_id = obligation_id(booking_id, 'unchecked:' || split_part(booking_id, ':', 2));
ALTER TABLE refund_obligations
    ALTER COLUMN payment_id SET NOT NULL,
    ALTER COLUMN obligation_id SET NOT NULL,
    ADD PRIMARY KEY (obligation_id),
    ADD UNIQUE (booking_id, payment_id),
    ADD FOREIGN KEY (booking_id, payment_id) REFERENCES payments (booking_id, payment_id);
DROP INDEX refund_obligations_of_event;
CREATE INDEX refund_obligations_of_event ON refund_obligations (event_id, due_at_ms, obligation_id);

-- One notice may be about two bookings; each is recorded.
ALTER TABLE payment_notices
    DROP CONSTRAINT payment_notices_pkey,
    ADD COLUMN payment_id text,
    ADD PRIMARY KEY (notice_id, booking_id);

-- A hold of which a payment was reported is held still.
CREATE OR REPLACE VIEW pending_bookings AS
SELECT event_id, booking_id, body, epoch, entry_ms, entry_seq
FROM (
    SELECT DISTINCT ON (event_id, booking_id) *
    FROM journal j
    WHERE booking_id IS NOT NULL
        AND NOT EXISTS (SELECT FROM bookings b WHERE b.booking_id = j.booking_id)
    ORDER BY event_id, booking_id, epoch DESC, entry_ms DESC, entry_seq DESC
) newest
WHERE kind IN ('seats_held', 'booking_extended')
    OR (kind = 'refund_due' OR kind LIKE 'payment\_%') AND body ->> 'status' = 'pending';

-- The payments of a booking as its record in Redis has them, and what is owed of each: null once it
-- is settled.
CREATE FUNCTION payments_of(booking text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT json_agg(json_strip_nulls(json_build_object(
        'id', payment_id, 'amount_minor', amount_minor, 'currency', currency, 'source', source,
        'outcome', outcome, 'note', note, 'provider_id', provider_id, 'reason', reason,
        'owed_minor', owed_minor, 'refunded_minor', refunded_minor,
        'disputed_at_ms', disputed_at_ms, 'at_ms', paid_at_ms))
        ORDER BY paid_at_ms, payment_id)::text
    FROM payments WHERE booking_id = booking
$$;
CREATE FUNCTION obligations_of(booking text) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT json_object_agg(
        payment_id, CASE WHEN settled_at_ms IS NULL THEN amount_minor END)::text
    FROM refund_obligations WHERE booking_id = booking
$$;
