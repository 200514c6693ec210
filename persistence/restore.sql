-- What Postgres remembers of an event, and whether Redis still knows it.

-- name: read_newest
-- How far each event has come here. One probe of an index an event.
SELECT e.event_id, greatest(e.epoch, coalesce(j.epoch, 0)) AS epoch,
    CASE WHEN j.epoch >= e.epoch THEN j.entry_ms ELSE 0 END AS entry_ms,
    CASE WHEN j.epoch >= e.epoch THEN j.entry_seq ELSE 0 END AS entry_seq
FROM events e LEFT JOIN LATERAL (
    SELECT epoch, entry_ms, entry_seq FROM journal
    WHERE event_id = e.event_id
    ORDER BY epoch DESC, entry_ms DESC, entry_seq DESC
    LIMIT 1
) j ON true
ORDER BY e.event_id;

-- name: find_between
-- What stands after one entry and before another, both excluded. Usually nothing: one probe of an
-- index.
SELECT entry_ms, entry_seq FROM journal
WHERE event_id = $1 AND epoch = $2
    AND (entry_ms, entry_seq) > ($3::bigint, $4::bigint)
    AND (entry_ms, entry_seq) < ($5::bigint, $6::bigint)
ORDER BY entry_ms, entry_seq;

-- name: keep_lease
-- The transaction of the lease is idle for as long as the restore takes.
SELECT set_config('idle_in_transaction_session_timeout', '0', true);

-- name: check_lease
-- Fails when the connection of the lease has ended, and the lease with it.
SELECT 1;

-- name: take_lease
-- Belongs to the transaction: it ends with the process that has it.
SELECT pg_try_advisory_xact_lock(hashtextextended('restore ' || $1, 0));

-- name: limit_wait
-- For the transaction.
SELECT set_config('lock_timeout', $1, true);

-- name: wait_for_writers
-- Each that has begun to write the event ends first; who comes now waits for this transaction.
SELECT pg_advisory_xact_lock(hashtextextended('epoch ' || $1, 0));

-- name: begin_epoch
-- Above all that either side ever promised under; $2 is the epoch of Redis. From its commit on, what
-- a writer brings of an older one is outdated.
UPDATE events SET epoch = 1 + greatest(
    epoch, $2, (SELECT max(j.epoch) FROM journal j WHERE j.event_id = $1))
WHERE event_id = $1
RETURNING epoch;

-- name: read_event
SELECT * FROM events WHERE event_id = $1;

-- name: read_newest_of
-- Of any epoch: where the ids of a new journal must be above.
SELECT max(entry_ms) AS entry_ms, coalesce(max(epoch), 0) AS epoch FROM journal WHERE event_id = $1;

-- name: list_blocked
SELECT seat_id FROM seats WHERE event_id = $1 AND blocked;

-- name: stream_remembered
-- What Redis would have: sold bookings, and those that ended since $2; and those of $3, however old,
-- for what is claimed of them. What is owed is owed, also where the booking's own row does not say so.
SELECT b.*, r.amount_minor AS obligation_minor, r.reason AS obligation_reason
FROM bookings b LEFT JOIN refund_obligations r USING (booking_id)
WHERE b.event_id = $1 AND (b.status = 'confirmed' OR b.ended_at_ms > $2 OR b.booking_id = ANY ($3::text[]))
ORDER BY b.booking_id;

-- name: stream_pending
SELECT body::text FROM pending_bookings WHERE event_id = $1 ORDER BY booking_id;
