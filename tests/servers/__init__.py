"""The plugin inside real Airflow processes, asked over HTTP."""
