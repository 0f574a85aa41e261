"""How right the watched loop is, and what it costs: `make stalls`, the tables of docs/event-loop.md."""
