"""Airflow's own processes: start, stop and watch them."""
