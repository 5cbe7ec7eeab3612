"""Pages for people and JSON for programs, behind one door."""
