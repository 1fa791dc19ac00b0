"""An Airflow on several hosts, behind a load balancer."""
