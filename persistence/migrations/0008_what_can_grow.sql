-- A fold reads an event's own entries from the first new one on, and not those before it.
DROP INDEX journal_of_event;
CREATE INDEX journal_of_event ON journal (event_id, epoch, entry_ms, entry_seq)
    WHERE booking_id IS NULL;
COMMENT ON COLUMN events.layout IS
    'gzipped JSON, as it was loaded; the entries of kind seats_added have what was added since';
