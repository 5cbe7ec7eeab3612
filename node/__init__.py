"""Runs Lethe: configuration, command line, DIMSE in and out, the de-identification engine, the worker, the web app."""
