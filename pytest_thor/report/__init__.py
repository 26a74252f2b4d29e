"""The report document, and what is rendered from it."""
