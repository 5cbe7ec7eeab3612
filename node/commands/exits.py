"""Names the exit codes."""

OK, FAILED, USAGE, SOME_REFUSED = 0, 1, 2, 3
