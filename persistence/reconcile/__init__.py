"""Compares Redis with Postgres, names each difference, repairs what is safe."""
