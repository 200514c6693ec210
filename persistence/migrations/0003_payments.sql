-- What the payment provider said, refunds that were settled, and what organisers are told.

-- The time, or the one that a test brings.
CREATE FUNCTION now_ms(given bigint DEFAULT NULL) RETURNS bigint LANGUAGE sql AS $$
    SELECT coalesce(given, (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
$$;

ALTER TABLE refund_obligations
    ADD COLUMN settled_at_ms bigint,
    ADD COLUMN settled_by    text,
    ADD COLUMN reference     text,     -- what the organiser calls it: a number at the bank
    ADD CHECK ((settled_at_ms IS NULL) = (settled_by IS NULL));
DROP INDEX refund_obligations_of_event;
CREATE INDEX refund_obligations_of_event ON refund_obligations (event_id, due_at_ms, booking_id);

-- What the provider said of a payment, each notice once. An obligation and a confirmation are in
-- the journal too; whatever else became of money is recorded here and nowhere else.
CREATE TABLE payment_notices (
    notice_id      text   PRIMARY KEY, -- the provider's id
    number         bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    kind           text   NOT NULL,
    booking_id     text   NOT NULL,    -- as the provider said it
    event_id       text,               -- null: booking_id is not of our form
    amount_minor   bigint,
    currency       text,
    outcome        text   NOT NULL,
    received_at_ms bigint NOT NULL
);
CREATE INDEX payment_notices_of_event ON payment_notices (event_id, number);

-- Where organisers are told. The secret signs and so has to be readable here.
CREATE TABLE webhooks (
    webhook_id     text    PRIMARY KEY,
    owner_id       text    NOT NULL,
    event_id       text,                -- null: every event of the owner
    any_owner      boolean NOT NULL,    -- made by somebody who may touch every event
    url            text    NOT NULL,
    kinds          text[]  NOT NULL,
    secret         text    NOT NULL,
    created_at_ms  bigint  NOT NULL,
    disabled_at_ms bigint,
    disabled_why   text,
    failure_count  integer NOT NULL DEFAULT 0,  -- attempts since the last success
    rest_until_ms  bigint  NOT NULL DEFAULT 0,  -- nothing is sent before
    CHECK (NOT any_owner OR event_id IS NOT NULL)
);
CREATE INDEX webhooks_of_owner ON webhooks (owner_id, webhook_id);

-- Journal entries whose messages are not made yet: written with the entry, taken by a deliverer.
-- No cursor over the journal, which would step over an entry that commits late.
CREATE TABLE webhook_queue (
    event_id  text    NOT NULL,
    epoch     integer NOT NULL,
    entry_ms  bigint  NOT NULL,
    entry_seq bigint  NOT NULL,
    number    bigint  NOT NULL GENERATED ALWAYS AS IDENTITY,
    PRIMARY KEY (event_id, epoch, entry_ms, entry_seq)
);
CREATE INDEX webhook_queue_in_turn ON webhook_queue (number);

-- One message on its way to one webhook. The id is a hash of webhook, entry and kind: each once.
-- A deliverer that takes one moves due_ms ahead; when it dies, the message is simply due again.
CREATE TABLE webhook_deliveries (
    message_id    text     PRIMARY KEY,
    number        bigint   NOT NULL GENERATED ALWAYS AS IDENTITY,
    webhook_id    text     NOT NULL REFERENCES webhooks ON DELETE CASCADE,
    event_id      text     NOT NULL,
    epoch         integer  NOT NULL,
    entry_ms      bigint   NOT NULL,
    entry_seq     bigint   NOT NULL,
    kind          text     NOT NULL,
    booking_id    text     NOT NULL,
    state         text     NOT NULL DEFAULT 'pending'
        CHECK (state IN ('pending', 'delivered', 'dead')),
    attempt_count integer  NOT NULL DEFAULT 0,
    created_at_ms bigint   NOT NULL,
    due_ms        bigint   NOT NULL,
    done_at_ms    bigint,
    status        integer,              -- of the last answer
    error         text                  -- why there was none
);
CREATE INDEX webhook_deliveries_of_webhook ON webhook_deliveries (webhook_id, number);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, due_ms, number)
    WHERE state = 'pending';
CREATE INDEX webhook_deliveries_untried ON webhook_deliveries (webhook_id, booking_id, number)
    WHERE state = 'pending' AND attempt_count = 0;
CREATE INDEX webhook_deliveries_open ON webhook_deliveries (created_at_ms)
    WHERE state = 'pending';
CREATE INDEX webhook_deliveries_done ON webhook_deliveries (done_at_ms)
    WHERE state <> 'pending';

-- The same for ever, so that who was told twice can see it.
CREATE FUNCTION message_id(
    webhook_id text, event_id text, epoch integer, entry_ms bigint, entry_seq bigint, kind text
) RETURNS text LANGUAGE sql STABLE AS $$
    SELECT 'msg_' || left(encode(sha256(convert_to(
        concat_ws(' ', webhook_id, event_id, epoch, entry_ms, entry_seq, kind), 'UTF8')), 'hex'), 32)
$$;

-- What there is to tell of a journal entry. A cancellation that is to be refunded says both.
CREATE FUNCTION message_kinds(kind text, body jsonb) RETURNS text[] LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN kind = 'booking_cancelled' AND (body ->> 'refund_minor')::bigint > 0
            THEN ARRAY['booking.cancelled', 'refund.due']
        WHEN kind IN ('booking_confirmed', 'booking_expired', 'booking_cancelled', 'refund_due')
            THEN ARRAY[replace(kind, '_', '.')]
        ELSE '{}'
    END
$$;
