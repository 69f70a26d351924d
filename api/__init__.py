"""The HTTP API: parse, one command or query, render."""
