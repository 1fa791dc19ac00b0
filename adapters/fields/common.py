"""Fields and schemas that many operations share: dates, JSON objects, the DAG, the DAG run."""

from __future__ import annotations

import datetime
import re
from typing import Any, Dict, Mapping, Optional

import pendulum
from marshmallow import Schema, ValidationError, fields, post_load, pre_dump, validates_schema

from native_api.adapters.compat import airflow
from native_api.adapters.compat.masking import MASK
from native_api.adapters.fields import strict_json, texts
from native_api.adapters.fields.texts import Text, Texts
from native_api.adapters.fields.versions import Version, limited

#: A query string turns the plus of an unescaped offset into a space.
_LOST_PLUS = re.compile(r"(T?\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)$")


#: The largest number that every database takes as an integer.
LARGEST = 2**31 - 1


class Nothing(Schema):
    """No arguments."""


class DateTime(fields.DateTime):
    """
    A timestamp: ISO 8601 with a ``T`` or a space, with or without microseconds and offset, or a date alone.

    A naive value is in Airflow's default timezone. Responses have the offset.
    """

    def _deserialize(self, value: Any, attr: Optional[str], data: object, **kwargs: object) -> datetime.datetime:
        if isinstance(value, str) and len(value) > texts.NUMBER:
            raise ValidationError(f"Longer than maximum length {texts.NUMBER}.")
        if isinstance(value, datetime.datetime):
            return pendulum.instance(value, tz=airflow().default_timezone()).in_timezone("UTC")
        try:
            return self._read(value)
        except (AttributeError, TypeError, ValueError, OverflowError) as exc:
            raise ValidationError(f"Not a date: {value!r}; write it as 2017-01-02T03:04:05+00:00.") from exc

    @staticmethod
    def _read(value: str) -> datetime.datetime:
        text = _LOST_PLUS.sub(r"\1+\2", value.strip())
        if not re.match(r"\d{4}-?\d\d", text):
            raise ValueError(value)
        zone: Any = airflow().default_timezone()
        moment = pendulum.parse(text, exact=True, tz=zone)
        if isinstance(moment, datetime.datetime):
            return pendulum.instance(moment).in_timezone("UTC")
        if isinstance(moment, datetime.date):
            return pendulum.datetime(moment.year, moment.month, moment.day, tz=zone).in_timezone("UTC")
        raise ValueError(value)

    def _serialize(self, value: Any, attr: Optional[str], obj: object, **kwargs: object) -> Optional[str]:
        return None if value is None else value.isoformat()


def alias_of(name: str) -> Dict[str, str]:
    """Return the metadata of a field that has the same meaning as another one."""
    return {"description": f"Alias of {name}.", "x-alias-of": name}


def is_day(value: object) -> bool:
    """Return whether the value of a :class:`DateTime` is a date alone, which means its midnight."""
    if isinstance(value, str):
        return not set(value.strip().upper()) & set("T: ")
    return isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)


class Flag(fields.Boolean):
    """A boolean; an empty checkbox of a form is true."""

    truthy = {True, "true", "True", "1", "on", "yes", ""}
    falsy = {False, "false", "False", "0", "off", "no"}

    def _deserialize(self, value: object, attr: Optional[str], data: Any, **kwargs: object) -> Any:
        return super()._deserialize(value.strip().lower() if isinstance(value, str) else value, attr, data, **kwargs)


def switch(description: str, **versions: Version) -> Flag:
    """Return a boolean field that is false by default, *versions* being those of :func:`limited`."""
    metadata = limited(description, **versions) if versions else {"description": description}
    return Flag(load_default=False, metadata=metadata)


class Whole(fields.Integer):
    """An integer, as a number or as text; a fraction is refused."""

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> Any:
        if isinstance(value, (bool, float)) or (isinstance(value, str) and len(value) > texts.NUMBER):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


#: The most entries of a configuration: Airflow makes a param of each and validates that, which takes a millisecond.
_ENTRIES = 1000


class JSONObject(fields.Dict):
    """A JSON object, or the text of one."""

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> Any:
        if isinstance(value, str):
            try:
                value = strict_json.loads(value) if value.strip() else {}
            except ValueError as exc:
                raise ValidationError(f"Not valid JSON: {exc}") from exc
        if not isinstance(value, dict):
            raise ValidationError("Must be a JSON object.")
        if len(value) > _ENTRIES:
            raise ValidationError(
                f"Has more than {_ENTRIES} entries; nest them in one entry, whose size is not limited."
            )
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]


class StoredObject(fields.Dict):
    """A stored JSON object; another stored value is returned as well, so that each row can be returned."""

    def _serialize(self, value: object, attr: Optional[str], obj: object, **kwargs: object) -> Any:
        return strict_json.plain(value, MASK)


def dag_id_field(**kwargs: object) -> fields.String:
    """Return the field of a DAG's id."""
    return Text(texts.ID, shortest=1, required=True, metadata={"description": "The dag_id of the DAG."}, **kwargs)


class Subdir(Schema):
    """``subdir``: require that the DAG file is below that path; nothing is parsed."""

    subdir = Text(
        texts.PATH,
        metadata={
            "description": "The file or folder, in the DAGs folder or in a bundle, that the DAG must be defined in. A "
            "leading DAGS_FOLDER is replaced by the DAGs folder."
        },
    )


class OneRun(Subdir):
    """Identify a DAG run by ``run_id`` or by ``logical_date``."""

    #: Whether a run is required.
    needs_a_run = True

    dag_id = dag_id_field()
    run_id = Text(texts.ID, metadata={"description": "The run_id of the DAG run."})
    logical_date = DateTime(metadata={"description": "The logical date of the DAG run, instead of run_id."})
    execution_date = DateTime(metadata=alias_of("logical_date"))

    @validates_schema
    def _names_a_run(self, data: Mapping[str, object], **kwargs: object) -> None:
        given = [name for name in ("run_id", "logical_date", "execution_date") if data.get(name) is not None]
        if not given and self.needs_a_run:
            raise ValidationError("Identify the run by run_id or by logical_date.", "run_id")
        if len(given) > 1:
            raise ValidationError(f"Identify the run once, not by {' and by '.join(given)}.", given[-1])

    @post_load
    def _one_name_for_the_date(self, data: Dict[str, Any], **kwargs: object) -> Dict[str, object]:
        return with_logical_date(data)


def with_logical_date(data: Dict[str, Any]) -> Dict[str, object]:
    """Return *data* with ``execution_date`` as ``logical_date``."""
    if "execution_date" in data:
        data["logical_date"] = data.pop("execution_date")
    return data


class RunFilters(Schema):
    """Filters of a list of DAG runs."""

    dag_id = Text(
        texts.ID, metadata={"description": "Only runs of this DAG. By default, of all DAGs that the caller can read."}
    )
    logical_date_gte = DateTime(metadata={"description": "Only runs with this logical date or a later one."})
    logical_date_lte = DateTime(metadata={"description": "Only runs with this logical date or an earlier one."})

    # A run of Airflow 3 may have no logical date; no range of dates has it.


class States(Texts):
    """Names of states; ``none`` means no state."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(texts.ID, **kwargs)


class RunDates(Schema):
    """A run's date under both its names."""

    logical_date = DateTime(allow_none=True, metadata={"description": "The logical date of the DAG run."})
    execution_date = DateTime(allow_none=True, metadata=alias_of("logical_date"))

    @pre_dump
    def _both_names(self, data: Mapping[str, object], **kwargs: object) -> Mapping[str, object]:
        return {**data, "execution_date": data["logical_date"]}
