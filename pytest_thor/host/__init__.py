"""The machine: what it is, what it does beside a launch, and how it is brought to rest between two."""
