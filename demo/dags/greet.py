"""The sample DAG of the demo: two tasks, one after the other."""

from __future__ import annotations

from airflow.sdk import Param, dag, task


@dag(schedule=None, tags=["demo"], params={"name": Param("world", type="string")})
def greet():
    """Greet whom the run's conf names."""

    @task
    def compose(params):
        return f"Hello, {params['name']}!"

    @task
    def say(greeting):
        print(greeting)

    say(compose())


greet()
