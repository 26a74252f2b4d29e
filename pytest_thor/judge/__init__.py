"""What the numbers say: pure functions, so that the same launches get the same verdict anywhere."""
