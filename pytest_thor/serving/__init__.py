"""Serving: what is sent to a server, and what is measured of its answers."""
