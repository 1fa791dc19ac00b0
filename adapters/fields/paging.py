"""Lists that come in pages: the fields that ask for a page, and the two statements that give one."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from marshmallow import ValidationError, fields, validate

from native_api import settings
from native_api.adapters.fields.common import LARGEST, Whole
from native_api.adapters.fields.texts import OneOf
from native_api.registry import Context


class Limit(Whole):
    """How many entries to give at most: 1 or more, and no more than the option ``page_limit_maximum``."""

    def __init__(self) -> None:
        super().__init__(
            validate=validate.Range(min=1, max=LARGEST),
            metadata={"description": "How many entries to give; the option page_limit_maximum is the most."},
        )

    def _deserialize(self, value: Any, attr: Optional[str], data: Any, **kwargs: Any) -> Any:
        limit = super()._deserialize(value, attr, data, **kwargs)
        maximum = settings.get("page_limit_maximum")
        if limit > maximum:
            raise ValidationError(f"Must be at most {maximum}, which is the option [native_api] page_limit_maximum.")
        return limit


def page_fields(*order_by: str) -> Dict[str, Any]:
    """Return the request fields of a list whose entries can be ordered by the given fields, by the first by default."""
    directions = [*order_by, *(f"-{name}" for name in order_by)]
    return {
        "limit": Limit(),
        "offset": Whole(
            load_default=0,
            validate=validate.Range(min=0, max=LARGEST),
            metadata={"description": "How many entries to pass over."},
        ),
        "order_by": fields.String(
            load_default=order_by[0],
            validate=OneOf(directions),
            metadata={"description": "The field to order by; a minus before it turns the order round."},
        ),
    }


def page_of(
    context: Context,
    statement: Any,
    asked: Mapping[str, Any],
    columns: Mapping[str, Any],
    *ties: Any,
) -> Tuple[List[Any], int]:
    """
    Return the rows of the page that is asked for, and how many rows there are without pages.

    :param statement: a select of what the list shows, with its conditions.
    :param asked: the loaded :func:`page_fields`.
    :param columns: the column for each name that ``order_by`` may have.
    :param ties: columns that order the rows which are equal in that one.
    """
    from sqlalchemy import func, select

    column = columns[asked["order_by"].lstrip("-")]
    order: Sequence[Any] = (column.desc() if asked["order_by"].startswith("-") else column, *ties)
    page = statement.order_by(*order).limit(_limit(context, asked.get("limit"))).offset(asked["offset"])
    result = context.session.execute(page)
    # Of columns none needs it, and values of JSON cannot be told apart.
    rows = (result.unique() if len(result.keys()) == 1 else result).all()
    everything = statement.with_only_columns(*ties, maintain_column_froms=True).subquery()
    total: int = context.session.scalar(select(func.count()).select_from(everything))
    return [row[0] if len(row) == 1 else row for row in rows], total


def slice_of(context: Context, entries: List[Any], asked: Mapping[str, Any], key: Callable[[Any], Any]) -> List[Any]:
    """Return the page of a list that is whole in memory; *key* is what its only order is by."""
    ordered = sorted(entries, key=key, reverse=asked["order_by"].startswith("-"))[asked["offset"] :]
    return ordered[: _limit(context, asked.get("limit"))]


def _limit(context: Context, asked: Optional[int]) -> Optional[int]:
    """Return how many entries to give where *asked* were asked for; None stands for all."""
    if asked is not None:
        return asked
    limit: int = min(settings.get("page_limit"), settings.get("page_limit_maximum"))
    return None if context.whole_lists else limit


def contains(column: Any, pattern: str) -> Any:
    """Return the condition that a column contains the pattern; % is any text in it, _ any character."""
    return column.ilike(f"%{pattern}%")
