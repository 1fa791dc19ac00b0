"""The console in a real browser; ``with_airflow.py`` starts an Airflow for it."""
