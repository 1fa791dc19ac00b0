"""The fields that schemas share."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from marshmallow import Schema, ValidationError

from native_api.adapters.fields.common import DateTime, Flag, JSONObject, Whole

UTC = datetime.timezone.utc


class Words(Schema):
    date = DateTime()
    flag = Flag()
    object = JSONObject()
    number = Whole()


def load(**values: Any) -> Any:
    (value,) = Words().load(values).values()
    return value


@pytest.mark.parametrize(
    "text, expected",
    [
        ("2017-01-02T03:04:05", (2017, 1, 2, 3, 4, 5)),
        ("2017-01-02 03:04:05", (2017, 1, 2, 3, 4, 5)),
        (" 2017-01-02T03:04:05 ", (2017, 1, 2, 3, 4, 5)),
        ("2017-01-02", (2017, 1, 2)),
        ("20170102", (2017, 1, 2)),
        ("2017-01-02T03:04", (2017, 1, 2, 3, 4)),
        ("2017-01-02T03:04:05Z", (2017, 1, 2, 3, 4, 5)),
        ("2017-01-02T03:04:05+02:00", (2017, 1, 2, 1, 4, 5)),
        ("2017-01-02T03:04:05 02:00", (2017, 1, 2, 1, 4, 5)),
        ("2017-01-02 03:04:05 02:00", (2017, 1, 2, 1, 4, 5)),
        ("2017-01-02T03:04:05.123456-01:30", (2017, 1, 2, 4, 34, 5, 123456)),
        (datetime.datetime(2017, 1, 2, 3), (2017, 1, 2, 3)),
        (datetime.datetime(2017, 1, 2, 3, tzinfo=datetime.timezone(datetime.timedelta(hours=2))), (2017, 1, 2, 1)),
    ],
)
def test_a_date_is_loaded_as_utc(airflow: Any, text: Any, expected: Any) -> None:
    assert load(date=text) == datetime.datetime(*expected, tzinfo=UTC)
    assert load(date=text).utcoffset() == datetime.timedelta(0)


@pytest.mark.parametrize(
    "text",
    ["", "not a date", "10", "03:04:05", "P1D", "2017-13-01", "2017-01-02/2017-01-03", "now", 3, None, [], "9" * 99],
)
def test_an_invalid_date_is_an_error(airflow: Any, text: Any) -> None:
    with pytest.raises(ValidationError) as caught:
        load(date=text)
    assert list(caught.value.normalized_messages()) == ["date"]


def test_naive_dates_are_read_in_airflows_timezone(airflow: Any, mocker: Any) -> None:
    import pendulum

    mocker.patch("airflow.settings.TIMEZONE", pendulum.timezone("Europe/Berlin"))
    assert load(date="2017-07-02T03:04:05") == datetime.datetime(2017, 7, 2, 1, 4, 5, tzinfo=UTC)
    assert load(date="2017-07-02") == datetime.datetime(2017, 7, 1, 22, tzinfo=UTC)
    assert load(date="2017-07-02T03:04:05Z") == datetime.datetime(2017, 7, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    "text, expected",
    [
        ("on", True),
        ("", True),
        ("YES", True),
        (True, True),
        ("1", True),
        ("off", False),
        ("0", False),
        ("No", False),
        (False, False),
    ],
)
def test_a_flag_accepts_the_usual_words(text: Any, expected: bool) -> None:
    assert load(flag=text) is expected


@pytest.mark.parametrize("text", ["maybe", "2", None, []])
def test_another_word_is_not_a_flag(text: Any) -> None:
    with pytest.raises(ValidationError):
        load(flag=text)


@pytest.mark.parametrize("value, expected", [("3", 3), (3, 3), ("-1", -1)])
def test_a_number_is_an_integer(value: Any, expected: int) -> None:
    assert load(number=value) == expected


@pytest.mark.parametrize("value", ["x", 1.5, True, "1.5", None])
def test_another_value_is_not_a_number(value: Any) -> None:
    with pytest.raises(ValidationError):
        load(number=value)


@pytest.mark.parametrize("value", ['{"a": [1]}', {"a": [1]}])
def test_an_object_can_be_json_text(value: Any) -> None:
    assert load(object=value) == {"a": [1]}


def test_a_conf_has_a_maximum_number_of_entries(airflow: Any) -> None:
    """Airflow creates a param for each."""
    many = {str(number): number for number in range(1000)}
    assert load(object=many) == many
    assert load(object={"nested": {**many, "more": 1}})
    for larger in ({**many, "more": 1}, json.dumps({**many, "more": 1})):
        with pytest.raises(ValidationError, match="more than 1000 entries"):
            load(object=larger)
