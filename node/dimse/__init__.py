"""Speaks DIMSE: listens for what peers send, and sends what is published."""
