"""Jobs: user code that runs for a request, or goes on after it."""
