"""The API's stores in Postgres, one per noun: they implement the protocols of `api.stores`."""
