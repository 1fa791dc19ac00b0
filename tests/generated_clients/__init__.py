"""Clients that two generators make of the OpenAPI document, used against a real Airflow."""
