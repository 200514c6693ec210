-- The queries of `folding.py`: the row of an event and its seats.

-- name: lock_event
-- Two writers that fold the same event take turns. The lock ends with the transaction.
SELECT pg_advisory_xact_lock(hashtextextended($1, 0));

-- name: read_entries_since
-- The event's own entries from one on, not those before it.
SELECT epoch, kind, body::text, layout FROM journal
WHERE event_id = $1 AND booking_id IS NULL
    AND (epoch, entry_ms, entry_seq) >= ($2::int, $3::bigint, $4::bigint)
ORDER BY epoch, entry_ms, entry_seq;

-- name: read_folded
-- The event as folded so far, without its layout, which may have megabytes.
SELECT event_id, name, currency, owner_id, sales, opens_at_ms, closes_at_ms, hold_ttl_ms,
    hold_max_ms, seats_max, customer_max, ended_ttl_ms, loaded_at_ms, epoch, capacity,
    layout_version, starts_at_ms, time_zone, cancel_until_ms, late_payment, payment_max_ms,
    single_seats, accessible_release_at_ms
FROM events WHERE event_id = $1;

-- name: put_event
-- $16 is the version of the whole layout, $17 the layout as it was loaded; see `read_additions`.
INSERT INTO events (
    event_id, name, currency, owner_id, sales, opens_at_ms, closes_at_ms, hold_ttl_ms, hold_max_ms,
    seats_max, customer_max, ended_ttl_ms, loaded_at_ms, epoch, capacity, layout_version, layout,
    starts_at_ms, time_zone, cancel_until_ms, late_payment, payment_max_ms, single_seats,
    accessible_release_at_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20,
    $21, $22, $23, $24)
ON CONFLICT (event_id) DO UPDATE SET
    name = excluded.name, currency = excluded.currency, owner_id = excluded.owner_id,
    sales = excluded.sales, opens_at_ms = excluded.opens_at_ms,
    closes_at_ms = excluded.closes_at_ms, hold_ttl_ms = excluded.hold_ttl_ms,
    hold_max_ms = excluded.hold_max_ms, seats_max = excluded.seats_max,
    customer_max = excluded.customer_max, ended_ttl_ms = excluded.ended_ttl_ms,
    loaded_at_ms = excluded.loaded_at_ms, epoch = greatest(events.epoch, excluded.epoch),
    capacity = excluded.capacity,
    layout_version = excluded.layout_version, layout = excluded.layout,
    starts_at_ms = excluded.starts_at_ms, time_zone = excluded.time_zone,
    cancel_until_ms = excluded.cancel_until_ms, late_payment = excluded.late_payment,
    payment_max_ms = excluded.payment_max_ms, single_seats = excluded.single_seats,
    accessible_release_at_ms = excluded.accessible_release_at_ms;

-- name: update_event
-- As `put_event`, of an event whose layout as loaded stays: $17 is not read.
UPDATE events SET
    name = $2, currency = $3, owner_id = $4, sales = $5, opens_at_ms = $6, closes_at_ms = $7,
    hold_ttl_ms = $8, hold_max_ms = $9, seats_max = $10, customer_max = $11, ended_ttl_ms = $12,
    loaded_at_ms = $13, epoch = greatest(epoch, $14), capacity = $15, layout_version = $16,
    starts_at_ms = $18, time_zone = $19, cancel_until_ms = $20, late_payment = $21,
    payment_max_ms = $22, single_seats = $23, accessible_release_at_ms = $24
WHERE event_id = $1 AND $17::bytea IS NULL;

-- name: set_blocked
UPDATE seats s SET blocked = b.blocked
FROM unnest($2::text[], $3::boolean[]) AS b (seat_id, blocked)
WHERE s.event_id = $1 AND s.seat_id = b.seat_id AND s.blocked <> b.blocked;

-- name: drop_seats
DELETE FROM seats WHERE event_id = $1;

-- name: insert_seats
INSERT INTO seats (
    event_id, seat_id, section_id, row_id, number, category_id, price_minor, accessible, blocked)
SELECT $1, * FROM unnest(
    $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::boolean[],
    $9::boolean[])
ON CONFLICT DO NOTHING;
