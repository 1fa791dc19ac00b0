"""Tasks of a DAG."""
