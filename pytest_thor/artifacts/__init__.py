"""A model's files: what they are, where they are, and how to make them when there are none."""
