"""Paging: the request fields of a list, and the page of a statement or of a sequence."""

from __future__ import annotations

from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, Tuple

from marshmallow import ValidationError, fields, validate
from sqlalchemy import func, select

from native_api import settings
from native_api.adapters.fields.common import LARGEST, Whole
from native_api.adapters.fields.texts import OneOf
from native_api.permissions import Resource
from native_api.registry import Context


class Limit(Whole):
    """Maximum number of entries to return: from 1 to the option ``page_limit_maximum``."""

    def __init__(self) -> None:
        super().__init__(
            validate=validate.Range(min=1, max=LARGEST),
            metadata={"description": "Maximum number of entries to return, up to the option page_limit_maximum."},
        )

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> Any:
        limit = super()._deserialize(value, attr, data, **kwargs)
        maximum = settings.get("page_limit_maximum")
        if limit > maximum:
            raise ValidationError(f"Must be at most {maximum}, which is the option [native_api] page_limit_maximum.")
        return limit


def page_fields(*order_by: str) -> Dict[str, object]:
    """Return the request fields of a list: limit, offset and order_by, whose default is the first of the names."""
    directions = [*order_by, *(f"-{name}" for name in order_by)]
    return {
        "limit": Limit(),
        "offset": Whole(
            load_default=0,
            validate=validate.Range(min=0, max=LARGEST),
            metadata={"description": "Number of entries to skip."},
        ),
        "order_by": fields.String(
            load_default=order_by[0],
            validate=OneOf(directions),
            metadata={"description": "The field to order by. A leading minus reverses the order."},
        ),
    }


def page_of(
    context: Context,
    statement: Any,
    arguments: Mapping[str, Any],
    columns: Mapping[str, Any],
    *ties: object,
    counted: Any = None,
) -> Tuple[List[Any], int]:
    """
    Return the rows of the requested page, and the total number of rows.

    :param statement: the select of all rows.
    :param asked: the loaded :func:`page_fields`.
    :param columns: the column for each value of ``order_by``.
    :param ties: columns that order rows with the same value.
    :param counted: a select that has as many rows as *statement*, if the database counts it faster.
    """
    column = columns[arguments["order_by"].lstrip("-")]
    order: Sequence[object] = (column.desc() if arguments["order_by"].startswith("-") else column, *ties)
    limit, offset = _limit(context, arguments.get("limit")), arguments["offset"]
    page = statement.order_by(*order).limit(limit).offset(offset)
    result = context.session.execute(page)
    # Rows of several columns are unique, and JSON values are not hashable.
    rows = (result.unique() if len(result.keys()) == 1 else result).all()
    if (limit is None or len(rows) < limit) and (rows or not offset):
        total = offset + len(rows)
    else:
        if counted is None:
            counted = statement.with_only_columns(*ties, maintain_column_froms=True)
        total = context.session.scalar(select(func.count()).select_from(counted.subquery()))
    return [row[0] if len(row) == 1 else row for row in rows], total


def slice_of(
    context: Context, entries: List[Any], arguments: Mapping[str, Any], key: Callable[[Any], Any]
) -> List[Any]:
    """Return the page of a list in memory, ordered by *key*."""
    ordered = sorted(entries, key=key, reverse=arguments["order_by"].startswith("-"))[arguments["offset"] :]
    return ordered[: _limit(context, arguments.get("limit"))]


def _limit(context: Context, limit: Optional[int]) -> Optional[int]:
    """Return the effective limit, None for all entries."""
    if limit is not None:
        return limit
    default: int = min(settings.get("page_limit"), settings.get("page_limit_maximum"))
    return None if context.whole_lists else default


def readable(context: Context, statement: Any, column: Any, resource: Resource, pattern: Optional[str] = None) -> Any:
    """
    Return the statement with only the rows that the caller can read.

    :param column: the column with the names of the rows.
    :param pattern: only rows whose name contains it; see :func:`contains`.
    """
    if pattern is not None:
        statement = statement.where(contains(column, pattern))
    names = context.caller.names(resource)
    return statement if names is None else statement.where(column.in_(names))


def contains(column: Any, pattern: str) -> Any:
    """Return the condition that a column contains the pattern; % matches any text, _ any character."""
    return column.ilike(f"%{pattern}%")
