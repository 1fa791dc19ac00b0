"""What the sandbox withstands, with the real thing."""
