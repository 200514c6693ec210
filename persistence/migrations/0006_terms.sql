-- When an event starts and where, and how it is cancelled and paid. An event that is there has the
-- terms that its sale had.
ALTER TABLE events
    ADD COLUMN starts_at_ms bigint NOT NULL DEFAULT 0,      -- 0: not set
    ADD COLUMN time_zone text NOT NULL DEFAULT '',          -- IANA name; '': not set
    ADD COLUMN cancel_until_ms bigint NOT NULL DEFAULT 0,   -- 0: only the organiser cancels
    ADD COLUMN late_payment text NOT NULL DEFAULT 'confirm'
        CHECK (late_payment IN ('confirm', 'refund')),
    ADD COLUMN payment_max_ms bigint NOT NULL DEFAULT 0;    -- 0: the time of the hold
