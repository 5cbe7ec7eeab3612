"""Cleans one object, as a pure, ordered composition: no storage, socket, database, clock or configuration in here."""
