-- Reads an event for a restore, and its newest entry for a check; takes the locks of a restore.

-- name: read_newest
-- The newest entry of each event. One index probe per event.
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
-- The entries between two others, both excluded. Usually there are none: one index probe.
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
-- The lease belongs to the transaction, so it ends with the process that holds it.
SELECT pg_try_advisory_xact_lock(hashtextextended('restore ' || $1, 0));

-- name: limit_wait
-- Applies to the transaction.
SELECT set_config('lock_timeout', $1, true);

-- name: wait_for_writers
-- Waits until every transaction that writes the event has ended; later ones wait for this one.
SELECT pg_advisory_xact_lock(hashtextextended('epoch ' || $1, 0));

-- name: begin_epoch
-- Above every epoch that either side has used; $2 is the epoch of Redis. After the commit, an entry of
-- an older epoch is outdated.
UPDATE events SET epoch = 1 + greatest(
    epoch, $2, (SELECT max(j.epoch) FROM journal j WHERE j.event_id = $1))
WHERE event_id = $1
RETURNING epoch;

-- name: read_event
SELECT * FROM events WHERE event_id = $1;

-- name: read_additions
-- What was added to the event's layout, each with the version that it made and the one it was made from.
SELECT body ->> 'layout_version' AS version, body ->> 'known_version' AS known_version, layout
FROM journal
WHERE event_id = $1 AND booking_id IS NULL AND kind = 'seats_added'
    AND body ->> 'known_version' IS NOT NULL;

-- name: read_newest_of
-- Over all epochs: the ids of a new journal must be above this one.
SELECT max(entry_ms) AS entry_ms, coalesce(max(epoch), 0) AS epoch FROM journal WHERE event_id = $1;

-- name: list_blocked
SELECT seat_id FROM seats WHERE event_id = $1 AND blocked;

-- name: stream_stored
-- What Redis would have: sold bookings, and those that ended since $2; and those of $3, however old,
-- for what is claimed of them.
SELECT b.*, payments_of(b.booking_id) AS payments
FROM bookings b
WHERE b.event_id = $1 AND (b.status = 'confirmed' OR b.ended_at_ms > $2 OR b.booking_id = ANY ($3::text[]))
ORDER BY b.booking_id;

-- name: stream_pending
SELECT body::text FROM pending_bookings WHERE event_id = $1 ORDER BY booking_id;
