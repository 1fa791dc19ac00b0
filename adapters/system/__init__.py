"""The versions and the health of this Airflow."""
