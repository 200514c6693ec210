-- What an event says of single seats and wheelchair places, and how a party sits whose places the
-- engine chose.
ALTER TABLE events
    ADD COLUMN single_seats text NOT NULL DEFAULT 'avoid'
        CHECK (single_seats IN ('allow', 'avoid', 'refuse')),
    ADD COLUMN accessible_release_at_ms bigint NOT NULL DEFAULT 0;  -- 0: never for everybody
ALTER TABLE bookings
    ADD COLUMN together text
        CHECK (together IN ('row', 'rows', 'section', 'apart', 'standing'));  -- NULL: picked
