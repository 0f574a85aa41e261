"""The only room that speaks Redis: what is stored, under which keys, and each atomic step as one Lua script."""
