"""The package that holds the client."""
