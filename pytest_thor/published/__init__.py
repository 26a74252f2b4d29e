"""Readers of what other tools print: figures that people published, kept apart from everything that gates."""
