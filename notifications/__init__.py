"""Telling people: a port and its adapters."""
