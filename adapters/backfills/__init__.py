"""Run a DAG for the dates of a range."""
