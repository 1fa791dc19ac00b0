"""An airflow DAG file that does not load."""

from airflow import DAG

raise RuntimeError("this DAG file does not load")

dag = DAG("never")
