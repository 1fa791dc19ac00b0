"""What tests share: the Airflow under test, its web application, and what they ask of it."""
