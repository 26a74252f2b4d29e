"""Reports of shards become one: every cell once, what ran where, and the exit status that pytest would have given."""
