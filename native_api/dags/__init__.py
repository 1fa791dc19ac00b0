"""DAG files that come with this package."""
