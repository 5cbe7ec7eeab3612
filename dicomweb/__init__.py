"""Speaks DICOMweb (PS3.18): finds and hands out clean objects over HTTP, as one Flask blueprint over storage."""
