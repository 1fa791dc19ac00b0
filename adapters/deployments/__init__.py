"""Deploy DAG files, with versions and rollback."""
