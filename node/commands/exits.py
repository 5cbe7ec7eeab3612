"""Names the exit codes."""

OK, FAILED, USAGE, SOME_REFUSED = 0, 1, 2, 3
PIPE = 141
"""As a shell says it of a program that writes into a pipe which nobody reads."""
