"""The formats, by their numbers."""
