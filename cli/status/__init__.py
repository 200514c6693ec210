"""`engine status`: polls an event and shows it live, as text or as JSON."""
