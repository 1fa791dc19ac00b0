"""Import errors."""
