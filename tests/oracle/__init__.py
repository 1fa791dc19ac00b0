"""Compares what our operations answer with what Airflow's own command line says of the same database."""
