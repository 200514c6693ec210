-- What was sold, and everything that led to it. Written by the writer from the journal of Redis.
--
-- Times are milliseconds since the epoch by Redis' clock (to_timestamp(held_at_ms / 1000.0) shows
-- one), money is in minor units: the numbers of the journal, unchanged, so that both sides can be
-- compared exactly.

-- Folded from the event's entries in journal: each says what it changed.
CREATE TABLE events (
    event_id       text    PRIMARY KEY,
    name           text    NOT NULL,
    currency       text    NOT NULL,
    owner_id       text    NOT NULL,
    sales          text    NOT NULL CHECK (sales IN ('open', 'paused', 'closed')),
    opens_at_ms    bigint  NOT NULL,
    closes_at_ms   bigint  NOT NULL,   -- 0: never
    hold_ttl_ms    bigint  NOT NULL,
    hold_max_ms    bigint  NOT NULL,
    seats_max      integer NOT NULL,
    customer_max   integer NOT NULL,   -- 0: no limit
    ended_ttl_ms   bigint  NOT NULL,
    loaded_at_ms   bigint  NOT NULL,
    epoch          integer NOT NULL,
    capacity       integer NOT NULL CHECK (capacity >= 0),
    layout_version text    NOT NULL,
    layout         bytea   NOT NULL    -- gzipped JSON, as Redis has it
);

-- The places of the layout, for reports. Who has one is in booking_seats.
CREATE TABLE seats (
    event_id    text    NOT NULL,
    seat_id     text    NOT NULL,      -- <event>:<section>-<row>-<number>
    section_id  text    NOT NULL,
    row_id      text    NOT NULL,
    number      text    NOT NULL,
    category_id text    NOT NULL,
    price_minor bigint  NOT NULL,
    accessible  boolean NOT NULL,
    blocked     boolean NOT NULL,
    PRIMARY KEY (event_id, seat_id)
);

-- Every booking at its last known state. (epoch, entry_ms, entry_seq) is the newest journal entry
-- the row has seen: entries may come twice or out of order, and a row only moves forward.
-- No foreign key to events: an event's own entry may come later, by another writer, and what was
-- sold must not wait for it.
CREATE TABLE bookings (
    booking_id      text    PRIMARY KEY,  -- <event>:<ulid>
    event_id        text    NOT NULL,
    customer_id     text    NOT NULL,
    status          text    NOT NULL
        CHECK (status IN ('pending', 'confirmed', 'released', 'expired', 'cancelled')),
    seats           text[]  NOT NULL,
    areas           jsonb   NOT NULL,     -- [{"area_id": …, "quantity": …}]
    amount_minor    bigint  NOT NULL CHECK (amount_minor >= 0),
    currency        text    NOT NULL,
    held_at_ms      bigint  NOT NULL,
    expires_at_ms   bigint  NOT NULL,
    confirmed_at_ms bigint,
    ended_at_ms     bigint,
    late            boolean NOT NULL,
    refund_minor    bigint  NOT NULL CHECK (refund_minor >= 0),
    refund_reason   text,
    epoch           integer NOT NULL,
    entry_ms        bigint  NOT NULL,
    entry_seq       bigint  NOT NULL
);
CREATE INDEX bookings_live ON bookings (event_id, booking_id)
    WHERE status IN ('pending', 'confirmed');
CREATE INDEX bookings_of_customer ON bookings (customer_id, booking_id);

-- One row a seat of a booking that was confirmed; active while it is sold.
CREATE TABLE booking_seats (
    booking_id text    NOT NULL REFERENCES bookings,
    seat_id    text    NOT NULL,
    event_id   text    NOT NULL,
    active     boolean NOT NULL,
    PRIMARY KEY (booking_id, seat_id)
);
-- The last wall of "a seat has at most one owner": whatever went wrong before, Postgres refuses.
CREATE UNIQUE INDEX booking_seats_one_owner ON booking_seats (event_id, seat_id) WHERE active;

-- Money that was taken and must go back: exactly one a booking, recorded once and for all.
CREATE TABLE refund_obligations (
    booking_id   text   PRIMARY KEY REFERENCES bookings,
    event_id     text   NOT NULL,
    customer_id  text   NOT NULL,
    amount_minor bigint NOT NULL CHECK (amount_minor > 0),
    currency     text   NOT NULL,
    reason       text   NOT NULL,
    due_at_ms    bigint NOT NULL
);
CREATE INDEX refund_obligations_of_event ON refund_obligations (event_id);

-- Every journal entry as it was, under the id Redis gave it (<entry_ms>-<entry_seq>).
CREATE TABLE journal (
    event_id   text    NOT NULL,
    epoch      integer NOT NULL,       -- counts failovers: a new primary may give an id again
    entry_ms   bigint  NOT NULL,
    entry_seq  bigint  NOT NULL,
    kind       text    NOT NULL,
    at_ms      bigint  NOT NULL,
    booking_id text,
    body       jsonb   NOT NULL,       -- the booking after the change, or what changed of the event
    layout     bytea,
    PRIMARY KEY (event_id, epoch, entry_ms, entry_seq)
);
CREATE INDEX journal_of_booking ON journal (booking_id) WHERE booking_id IS NOT NULL;

CREATE INDEX journal_of_event ON journal (event_id) WHERE booking_id IS NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER journal_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
