"""What a program does with the models that datamodel-code-generator made: each response is validated by its model."""

from __future__ import annotations

import json
import os

import httpx
import models


def main() -> None:
    """Trigger with a validated body, and read lists, each validated."""
    client = httpx.Client(headers={"Authorization": os.environ["AUTHORIZATION"]}, timeout=120)
    url = os.environ["URL"]

    def read(operation: str, model: type, **query: str) -> object:
        response = client.get(f"{url}/{operation}", params=query)
        response.raise_for_status()
        return model.model_validate(response.json())

    body = models.TriggerDag(dag_id="two_tasks", run_id="by_models", conf={"why": "models"})
    response = client.post(f"{url}/trigger_dag", json=body.model_dump(mode="json", exclude_unset=True))
    triggered = models.TriggeredDag.model_validate(response.json())
    again = client.post(f"{url}/trigger_dag", json=body.model_dump(mode="json", exclude_unset=True))
    problem = models.Problem.model_validate(again.json())
    done = {
        "status": response.status_code,
        "run_id": triggered.run_id,
        "again": [again.status_code, problem.code],
        "dags": [dag.dag_id for dag in read("list_dags", models.Dags, limit="1000").dags],
        "runs": [run.run_id for run in read("list_dag_runs", models.DagRuns, dag_id="two_tasks").dag_runs],
        "tasks": [task.task_id for task in read("list_tasks", models.Tasks, dag_id="two_tasks").tasks],
        "pools": [pool.name for pool in read("list_pools", models.Pools).pools],
    }
    print(json.dumps(done))


if __name__ == "__main__":
    main()
