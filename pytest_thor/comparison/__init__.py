"""Finished measurements side by side: reports, baseline stores, published figures, by whatever word they differ in."""
