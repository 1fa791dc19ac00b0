"""The ways in over HTTP. A face translates; it knows neither Airflow nor what an operation does."""
