"""What needs an Airflow that runs tasks."""
