"""Jobs: DAG code that runs within a request, or asynchronously."""
