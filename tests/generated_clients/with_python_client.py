"""What a program does with the client that openapi-python-client made: one flow, its results printed as JSON."""

from __future__ import annotations

import datetime
import io
import json
import os
import time

from airflow_native_api_client import AuthenticatedClient, models
from airflow_native_api_client.api.da_gs import list_dags, unpause_dag
from airflow_native_api_client.api.dag_runs import dag_state, trigger_dag
from airflow_native_api_client.api.deployments import deploy_dag
from airflow_native_api_client.api.task_execution import test_task
from airflow_native_api_client.api.task_instances import clear_tasks
from airflow_native_api_client.api.task_logs import task_log
from airflow_native_api_client.api.variables import delete_variable, get_variable, set_variable
from airflow_native_api_client.types import File

SECONDS = 200
DEPLOYED = b"import datetime\ntry:\n    from airflow.sdk import DAG\nexcept ImportError:\n    from airflow import DAG\n"
DEPLOYED += b"dag = DAG('generated', start_date=datetime.datetime(2024, 1, 1), schedule=None)\n"


def main() -> None:
    """List, trigger and wait, read a log, clear with a dry run, set and get a variable, test a task, deploy a file."""
    scheme, _, token = os.environ["AUTHORIZATION"].partition(" ")
    client = AuthenticatedClient(base_url=os.environ["URL"], token=token, prefix=scheme, timeout=120)
    done = {"dags": [dag.dag_id for dag in list_dags.sync(client=client, limit=1000).dags]}

    unpause_dag.sync(client=client, body=models.OneDag(dag_id="two_tasks"))
    conf = models.TriggerDagConfType0.from_dict({"why": "generated"})
    response = trigger_dag.sync_detailed(client=client, body=models.TriggerDag(dag_id="two_tasks", conf=conf))
    done["triggered"] = int(response.status_code)
    run = {"dag_id": "two_tasks", "run_id": response.parsed.run_id}
    begun = time.monotonic()
    while time.monotonic() - begun < SECONDS:
        found = dag_state.sync(client=client, **run)
        if found.state in ("success", "failed"):
            break
        time.sleep(0.2)
    done["state"], done["conf"] = found.state, found.conf.to_dict()
    done["log"] = "first" in str(task_log.sync(client=client, task_id="first", **run).to_dict())
    cleared = clear_tasks.sync(client=client, body=models.ClearTasks(**run, dry_run=True))
    done["cleared"] = sorted(instance.task_id for instance in cleared.task_instances)
    done["dry_run"] = cleared.dry_run

    set_variable.sync(client=client, body=models.SetVariable(key="generated", value="hello"))
    done["variable"] = get_variable.sync(client=client, key="generated").value
    delete_variable.sync(client=client, body=models.DeleteVariable(key="generated"))
    missing = get_variable.sync_detailed(client=client, key="generated")
    done["missing"] = [int(missing.status_code), type(missing.parsed).__name__, missing.parsed.code]

    date = datetime.datetime(2024, 5, 6, 7, 8, 9, tzinfo=datetime.timezone.utc)
    body = models.TestTask(dag_id="two_tasks", task_id="first", logical_date=date)
    done["test"] = test_task.sync(client=client, body=body).state
    file = File(payload=io.BytesIO(DEPLOYED), file_name="generated.py", mime_type="text/x-python")
    response = deploy_dag.sync_detailed(client=client, body=models.DeployDag(dag_file=file))
    found = response.parsed.to_dict()
    done["deployed"] = [int(response.status_code), found.get("path"), found.get("detail")]
    print(json.dumps(done))


if __name__ == "__main__":
    main()
