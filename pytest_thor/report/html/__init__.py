"""The report as one HTML file that needs nothing else: what changed, pictures, and every cell with all it has."""
