"""DAG runs: trigger, list, and return the state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional

import pendulum
from marshmallow import Schema, ValidationError, fields, post_load, validates_schema
from sqlalchemy import select
from sqlalchemy.orm import joinedload

from native_api.adapters.compat import airflow, text_of
from native_api.adapters.compat.interface.airflow import RunToCreate
from native_api.adapters.dags.operations import active_dag, file_in, of_readable_dags, require_active_dag
from native_api.adapters.fields import texts
from native_api.adapters.fields.common import (
    DateTime,
    JSONObject,
    OneRun,
    RunDates,
    RunFilters,
    States,
    StoredObject,
    Subdir,
    alias_of,
    dag_id_field,
    with_logical_date,
)
from native_api.adapters.fields.paging import page_fields, page_of
from native_api.adapters.fields.texts import Text, Texts
from native_api.adapters.lookup import named_run, run_of, with_pluses
from native_api.effects import Effect
from native_api.errors import DagHasImportErrors, DagRunExists, Invalid, Missing
from native_api.errors.groups import OF_A_DAG, OF_A_RUN
from native_api.permissions import Access, Resource
from native_api.registry import Context, operation
from native_api.suggestions import suggestion

if TYPE_CHECKING:
    from datetime import datetime

    from sqlalchemy.orm import Session

#: Values of order_by, in addition to the order of creation.
ORDER = ("logical_date", "run_id", "dag_id", "start_date", "end_date")


class NewRunId(Text):
    """
    The run_id of a new DAG run.

    Airflow refuses spaces in it unless the deployer allows them; an unescaped query string turns the plus of an offset
    into a space.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(texts.ID, shortest=1, **kwargs)

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> Any:
        run_id = super()._deserialize(value, attr, data, **kwargs)
        return with_pluses(run_id) if " " in run_id and not airflow().allows_run_id(run_id) else run_id


class TriggerDag(Subdir):
    """The DAG run to create."""

    dag_id = dag_id_field()
    run_id = NewRunId(metadata={"description": "The run_id of the DAG run. By default, Airflow generates one."})
    conf = JSONObject(
        load_default=None,
        allow_none=True,
        metadata={
            "description": "The configuration of the DAG run: a JSON object, or its text. It is validated by "
            "the params of the DAG."
        },
    )
    logical_date = DateTime(metadata={"description": "The logical date of the DAG run. By default, now."})
    execution_date = DateTime(metadata=alias_of("logical_date"))
    note = Text(1000, metadata={"description": "The note of the DAG run."})

    @validates_schema
    def _one_date(self, data: Mapping[str, object], **kwargs: object) -> None:
        if "logical_date" in data and "execution_date" in data:
            raise ValidationError("Is an alias of logical_date; send one of them.", "execution_date")

    @post_load
    def _one_name_for_the_date(self, data: Dict[str, Any], **kwargs: object) -> Dict[str, object]:
        return with_logical_date(data)


class DagRun(RunDates):
    """A run of a DAG."""

    dag_id = fields.String(required=True)
    run_id = fields.String(required=True)
    state = fields.String(required=True)
    run_type = fields.String(required=True)
    conf = StoredObject(allow_none=True, metadata={"description": "The configuration, with sensitive values masked."})
    data_interval_start = DateTime(allow_none=True)
    data_interval_end = DateTime(allow_none=True)
    queued_at = DateTime(allow_none=True)
    start_date = DateTime(allow_none=True)
    end_date = DateTime(allow_none=True)
    note = fields.String(allow_none=True)


class TriggeredDag(DagRun):
    """The new DAG run, and whether its DAG is paused."""

    is_paused = fields.Boolean(required=True)
    warnings = fields.List(fields.String())


def _trigger_command(arguments: Mapping[str, Any]) -> List[str]:
    words = ["dags", "trigger"]
    if arguments.get("run_id"):
        words += ["--run-id", arguments["run_id"]]
    if arguments.get("conf"):
        words += ["--conf", json.dumps(airflow().masked(arguments["conf"]))]
    if arguments.get("logical_date"):
        words += ["--no-replace-microseconds", airflow().trigger_date_flag, arguments["logical_date"].isoformat()]
    return [*words, arguments["dag_id"]]


@operation(
    request=TriggerDag,
    result=TriggeredDag,
    access=Access(Resource.DAG_RUN, "POST"),
    effect=Effect.WRITE,
    tag="DAG Runs",
    errors=(*OF_A_DAG, DagHasImportErrors, DagRunExists, Missing),
    creates=True,
    command=_trigger_command,
    example={"dag_id": "example_dag", "conf": {"greeting": "hello"}},
)
def trigger_dag(
    context: Context,
    dag_id: str,
    conf: Optional[Dict[str, object]],
    run_id: Optional[str] = None,
    logical_date: Optional[datetime] = None,
    note: Optional[str] = None,
    subdir: Optional[str] = None,
) -> Dict[str, object]:
    """
    Trigger a DAG: create a DAG run, which the scheduler then starts.

    The data interval is inferred from the logical date, on every Airflow version. If the DAG is paused, the run waits
    until it is unpaused, and the response has a warning.
    """
    dag_model = active_dag(context, dag_id, subdir)
    is_paused = dag_model.is_paused
    if dag_model.has_import_errors:
        raise DagHasImportErrors(dag_id, dag_model.fileloc)
    if run_id is not None and not airflow().allows_run_id(run_id):
        raise Invalid(
            {
                "run_id": [
                    f"Airflow does not accept the run_id '{run_id}' for a manual run; see [scheduler] "
                    "allowed_run_id_pattern."
                ]
            }
        )
    _require_no_run(context.session, dag_id, run_id, logical_date)
    wanted = RunToCreate(dag_id, run_id, conf, logical_date or pendulum.now("UTC"), context.caller.name)
    created = airflow().trigger_dag(wanted, context.session)
    row = run_of(context.session, dag_id, created, None)
    if note:
        row.note = (note, airflow().note_author(context.caller.user_id))
        context.session.flush()
    context.created = True
    if is_paused:
        context.warnings.append(f"The DAG '{dag_id}' is paused: the run waits until it is unpaused.")
    return {**as_response(row), "is_paused": is_paused}


class ListDagRuns(Subdir, RunFilters, Schema.from_dict(page_fields("id", *ORDER))):  # type: ignore[misc]
    """Filters of the list of DAG runs."""

    state = States(metadata={"description": "Only runs in one of these states."})
    run_type = Texts(texts.ID, metadata={"description": "Only runs of one of these types."})


class DagRuns(Schema):
    """A page of runs."""

    dag_runs = fields.List(fields.Nested(DagRun), required=True)
    total_entries = fields.Integer(required=True)


@operation(
    request=ListDagRuns,
    result=DagRuns,
    access=Access(Resource.DAG_RUN, "GET"),
    effect=Effect.READ,
    tag="DAG Runs",
    errors=OF_A_DAG,
    command=lambda arguments: airflow().list_dag_runs_command(arguments),
    example={"dag_id": "example_dag", "state": ["queued", "running"]},
)
def list_dag_runs(
    context: Context,
    dag_id: Optional[str] = None,
    state: Optional[List[str]] = None,
    run_type: Optional[List[str]] = None,
    subdir: Optional[str] = None,
    logical_date_gte: Optional[datetime] = None,
    logical_date_lte: Optional[datetime] = None,
    **arguments: object,
) -> Dict[str, object]:
    """List the DAG runs that the caller can read, the oldest first."""
    from airflow.models.dagrun import DagRun as AirflowDagRun
    from airflow.utils.state import DagRunState
    from airflow.utils.types import DagRunType

    run = AirflowDagRun
    statement = select(run).options(joinedload(run.dag_run_note))
    statement = of_runs(context, statement, run.dag_id, Access(Resource.DAG_RUN, "GET"), dag_id, subdir)
    statement = between(statement, logical_date_gte, logical_date_lte)
    if state:
        statement = statement.where(run.state.in_(known("state", state, DagRunState)))
    if run_type:
        statement = statement.where(run.run_type.in_(known("run_type", run_type, DagRunType)))
    columns = {
        "id": run.id,
        "logical_date": airflow().date_of_runs(),
        **{name: getattr(run, name) for name in ORDER[1:]},
    }
    rows, total = page_of(context, statement, arguments, columns, run.id)
    return {"dag_runs": [as_response(row) for row in rows], "total_entries": total}


def of_runs(
    context: Context, statement: Any, column: Any, access: Access, dag_id: Optional[str], subdir: Optional[str]
) -> Any:
    """Return the statement for the runs of one DAG, or of all DAGs in *subdir* on which the caller has the right."""
    from airflow.models.dag import DagModel

    if dag_id is not None:
        require_active_dag(context, dag_id, subdir)
        return statement.where(column == dag_id)
    if subdir is not None:
        statement = statement.where(column.in_(select(DagModel.dag_id).where(file_in(subdir))))
    return of_readable_dags(context, statement, column, access)


def between(statement: Any, first: Optional[datetime], last: Optional[datetime]) -> Any:
    """Return the statement for the runs with a logical date from *first* to *last*."""
    date = airflow().date_of_runs()
    if first is not None:
        statement = statement.where(date >= first)
    return statement if last is None else statement.where(date <= last)


def known(name: str, words: List[str], enum: Any) -> List[Any]:
    """Return *words*; raise :class:`Invalid` if one is not among Airflow's *values*."""
    words = [word.strip().lower() for word in words]
    unknown = sorted(set(words) - {member.value for member in enum})
    if unknown:
        values = [member.value for member in enum]
        hint = suggestion(unknown[0], values) or "."
        raise Invalid({name: [f"Airflow has no {', '.join(unknown)}; the values are {', '.join(values)}{hint}"]})
    return words


@operation(
    request=OneRun,
    result=DagRun,
    access=Access(Resource.DAG_RUN, "GET"),
    effect=Effect.READ,
    tag="DAG Runs",
    errors=OF_A_RUN,
    command=lambda arguments: airflow().dag_state_command(arguments),
    example={"dag_id": "example_dag", "run_id": "manual__2026-11-01T00:00:00+00:00"},
)
def dag_state(context: Context, **run: Any) -> Dict[str, object]:
    """Return the state of a DAG run."""
    return as_response(named_run(context, **run))


def _require_no_run(session: Session, dag_id: str, run_id: Optional[str], logical_date: Optional[datetime]) -> None:
    for named in ((run_id, None), (None, logical_date)):
        row = None if named == (None, None) else run_of(session, dag_id, *named)
        if row is not None:
            date = getattr(row, airflow().date_column)
            raise DagRunExists(dag_id, row.run_id, date.isoformat() if date else None)


def as_response(row: Any) -> Dict[str, object]:
    """Return the fields of :class:`DagRun`."""
    return {
        "dag_id": row.dag_id,
        "run_id": row.run_id,
        "logical_date": getattr(row, airflow().date_column),
        "state": text_of(row.state),
        "run_type": text_of(row.run_type),
        "conf": airflow().masked(row.conf),
        "data_interval_start": row.data_interval_start,
        "data_interval_end": row.data_interval_end,
        "queued_at": row.queued_at,
        "start_date": row.start_date,
        "end_date": row.end_date,
        "note": row.note,
    }
