"""Records that the API and Postgres exchange: plain structs, no behaviour."""
