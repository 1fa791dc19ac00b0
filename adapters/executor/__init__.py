"""
DAG code runs on Airflow's executor: each job is a DAG run of the DAG ``native_api_jobs``.

It is the alternative to the sandbox, with ``[native_api] execute_on = executor``: the web server needs no DAG files and
runs no DAG code. ``jobs`` is the side of the web server, which creates the DAG run and waits for its outcome; ``task``
runs on the worker and there runs the function of the job as the sandbox does. ``sealing`` encrypts what they send one
another, and ``functions`` lists what a job can be.
"""
