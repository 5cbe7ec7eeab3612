"""Finds and removes what is burned into pixels: text in frames, overlays and icons. Nothing here knows storage, network
or configuration."""
