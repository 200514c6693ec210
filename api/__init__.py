"""HTTP over the engine: a thin skin. One route table, one engine call a request, no Redis here."""
