"""Shared by the tests: the Airflow under test, its web application, and helpers."""
