"""The API, called in process on the real Valkey."""
