"""The rules of the box office, as Lua: every change of state, and nothing else changes state."""
