"""What the API reads and writes in Postgres."""
