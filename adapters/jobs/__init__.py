"""Jobs: user code that runs during a request, or asynchronously."""
