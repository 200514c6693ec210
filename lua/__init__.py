"""The rules of the box office as Lua scripts: only these scripts change state."""
