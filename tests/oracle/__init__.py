"""Compares the responses of the operations with the output of Airflow's own command line, on the same database."""
