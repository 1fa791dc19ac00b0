"""DAGs and the DAG files that define them."""
