"""The HTTP interfaces. They translate requests and responses; operations and Airflow are called by ``dispatch``."""
