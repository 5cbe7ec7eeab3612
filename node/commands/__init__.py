"""What each command of `lethe` does: a function takes its arguments and returns the exit code."""
