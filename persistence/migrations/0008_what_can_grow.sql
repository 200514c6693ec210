-- A fold reads an event's own entries from the first new one on, and not those before it.
DROP INDEX journal_of_event;
CREATE INDEX journal_of_event ON journal (event_id, epoch, entry_ms, entry_seq)
    WHERE booking_id IS NULL;
COMMENT ON COLUMN events.layout IS
    'gzipped JSON, as it was loaded; the entries of kind seats_added have what was added since';

-- A booking that ended unpaid leaves with its entries after a time (UNPAID_KEEP_S): see
-- docs/decisions/0031-unpaid-bookings-leave.md. Nothing else leaves the journal.
CREATE INDEX bookings_unpaid ON bookings (ended_at_ms)
    WHERE status IN ('released', 'expired') AND refund_reason IS NULL;
CREATE INDEX webhook_deliveries_of_booking ON webhook_deliveries (booking_id)
    WHERE state = 'pending';
DROP TRIGGER journal_append_only ON journal;
CREATE TRIGGER journal_append_only BEFORE UPDATE OR TRUNCATE ON journal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE FUNCTION refuse_to_forget() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM bookings b
        WHERE b.booking_id = OLD.booking_id AND b.status IN ('released', 'expired')
            AND b.refund_reason IS NULL
            AND NOT EXISTS (SELECT FROM payments p WHERE p.booking_id = b.booking_id))
    THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME;
END
$$;
CREATE TRIGGER journal_forgets_unpaid BEFORE DELETE ON journal
    FOR EACH ROW EXECUTE FUNCTION refuse_to_forget();
