"""Task logs."""
