"""The words that the operations' schemas share: dates, JSON objects, pages, and the nouns that come up everywhere."""

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

#: A query string turns the plus of an unescaped offset into a space.
_LOST_PLUS = re.compile(r"(T?\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (\d\d:?\d\d)$")


#: The largest number that every database takes as an integer.
LARGEST = 2**31 - 1


class Nothing(Schema):
    """No arguments."""


class DateTime(fields.DateTime):
    """
    A moment: ISO 8601 with a ``T`` or a space, with or without microseconds and offset, or a date alone.

    Naive input is read in Airflow's default timezone; what comes out has its offset.
    """

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> datetime.datetime:
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

    def _serialize(self, value: Any, attr: Optional[str], obj: Any, **kwargs: Any) -> Optional[str]:
        return None if value is None else value.isoformat()


def is_day(value: Any) -> bool:
    """Return whether what a caller sent for a :class:`DateTime` is a date alone, which stands for its midnight."""
    if isinstance(value, str):
        return not set(value.strip().upper()) & set("T: ")
    return isinstance(value, datetime.date) and not isinstance(value, datetime.datetime)


class Flag(fields.Boolean):
    """A yes or no; a checkbox of a form that is there and empty is a yes."""

    truthy = {True, "true", "True", "1", "on", "yes", ""}
    falsy = {False, "false", "False", "0", "off", "no"}

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Any:
        return super()._deserialize(value.strip().lower() if isinstance(value, str) else value, attr, data, **kwargs)


def switch(description: str) -> Flag:
    """Return the field of an option that is off unless it is asked for."""
    return Flag(load_default=False, metadata={"description": description})


class Whole(fields.Integer):
    """A whole number, as a number or as text; no fraction is cut off."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Any:
        if isinstance(value, (bool, float)) or (isinstance(value, str) and len(value) > texts.NUMBER):
            raise self.make_error("invalid", input=value)
        return super()._deserialize(value, attr, data, **kwargs)


#: The most entries of a configuration: Airflow makes a param of each and validates that, which takes a millisecond.
_ENTRIES = 1000


class JSONObject(fields.Dict):
    """A JSON object, as an object or as text."""

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Any:
        if isinstance(value, str):
            try:
                value = strict_json.loads(value) if value.strip() else {}
            except ValueError as exc:
                raise ValidationError(f"Not valid JSON: {exc}") from exc
        if not isinstance(value, dict):
            raise ValidationError("Must be a JSON object.")
        if len(value) > _ENTRIES:
            raise ValidationError(f"Has more than {_ENTRIES} entries; one of them may have as many as you like.")
        return super()._deserialize(value, attr, data, **kwargs)  # type: ignore[no-untyped-call]


class StoredObject(fields.Dict):
    """A JSON object that Airflow has stored, or whatever else was: nothing keeps a row from being shown."""

    def _serialize(self, value: Any, attr: Optional[str], obj: Any, **kwargs: Any) -> Any:
        return strict_json.plain(value, MASK)


def dag_id_field(**kwargs: Any) -> fields.String:
    """Return the field of a DAG's id."""
    return Text(texts.ID, shortest=1, required=True, metadata={"description": "The id of the DAG."}, **kwargs)


class Subdir(Schema):
    """``subdir``: a check that the DAG's file lies there; nothing is parsed."""

    subdir = Text(
        texts.PATH,
        metadata={
            "description": "A folder or file in the DAGs folder or a bundle that the DAG's file must lie in; "
            "DAGS_FOLDER at its beginning stands for the DAGs folder."
        },
    )


class OneRun(Subdir):
    """Names one run of a DAG, by ``run_id`` or by ``logical_date``."""

    #: Whether the operation can do nothing where no run is named.
    needs_a_run = True

    dag_id = dag_id_field()
    run_id = Text(texts.ID, metadata={"description": "The id of the run."})
    logical_date = DateTime(metadata={"description": "The run's logical date, in place of run_id."})
    execution_date = DateTime(metadata={"description": "Another name of logical_date."})

    @validates_schema
    def _names_a_run(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        given = [name for name in ("run_id", "logical_date", "execution_date") if data.get(name) is not None]
        if not given and self.needs_a_run:
            raise ValidationError("Name the run by run_id or by logical_date.", "run_id")
        if len(given) > 1:
            raise ValidationError(f"Name the run once, not by {' and by '.join(given)}.", given[-1])

    @post_load
    def _one_name_for_the_date(self, data: Dict[str, Any], **kwargs: Any) -> Dict[str, Any]:
        return with_logical_date(data)


def with_logical_date(data: Dict[str, Any]) -> Dict[str, Any]:
    """Return *data* with ``execution_date`` as ``logical_date``."""
    if "execution_date" in data:
        data["logical_date"] = data.pop("execution_date")
    return data


class RunFilters(Schema):
    """Which runs a list is about."""

    dag_id = Text(
        texts.ID, metadata={"description": "Only runs of this DAG; left out, of all that the caller may read."}
    )
    logical_date_gte = DateTime(metadata={"description": "Only runs whose logical date is this or later."})
    logical_date_lte = DateTime(metadata={"description": "Only runs whose logical date is this or earlier."})

    # A run of Airflow 3 may have no logical date; no range of dates has it.


class States(Texts):
    """Names of states; ``none`` stands for having no state."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(texts.ID, **kwargs)


class RunDates(Schema):
    """A run's date under both its names."""

    logical_date = DateTime(allow_none=True, metadata={"description": "The run's logical date."})
    execution_date = DateTime(allow_none=True, metadata={"description": "Another name of logical_date."})

    @pre_dump
    def _both_names(self, data: Mapping[str, Any], **kwargs: Any) -> Mapping[str, Any]:
        return {**data, "execution_date": data["logical_date"]}
