"""Text fields, each with a maximum length, which is checked before anything else."""

from __future__ import annotations

from typing import Any, Optional

from marshmallow import fields, validate

from native_api.suggestions import suggestion

#: The longest texts of each kind, in characters: Airflow's columns of ids, what a file system takes for a path, and
#: what is enough for a pattern, and for a word on a command line.
ID, PATH, PATTERN, WORD = 250, 4096, 1000, 1000
#: The maximum length of a continuation_token, and of a description.
TOKEN, DESCRIPTION = 8192, 5000
#: The texts that numbers and dates may be.
NUMBER = 100
#: How many texts a list may have.
LIST = 100


class OneOf(validate.OneOf):
    """One of several words; the error for another names the nearest."""

    def _format_error(self, value: object) -> str:
        return super()._format_error(value).rstrip(".") + (suggestion(str(value), map(str, self.choices)) or ".")


class Text(fields.String):
    """A text of bounded length."""

    def __init__(self, longest: int, *rules: Any, shortest: Optional[int] = None, **kwargs: Any) -> None:
        """
        Create the field.

        :param longest: maximum length, in characters.
        :param rules: additional validators.
        """
        self.length = validate.Length(min=shortest, max=longest)
        super().__init__(validate=[self.length, *rules], **kwargs)

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> Any:
        text = super()._deserialize(value, attr, data, **kwargs)
        # Before anything else is done with it: validators run after this, and all of them.
        return self.length(text)


class Texts(fields.List):  # type: ignore[type-arg]
    """A list of texts, of bounded length and number."""

    def __init__(self, longest: int, **kwargs: Any) -> None:
        super().__init__(Text(longest), validate=validate.Length(max=LIST), **kwargs)


def pattern(description: str) -> Text:
    """Return the field of an ILIKE pattern."""
    return Text(PATTERN, metadata={"description": f"{description}; % matches any text and _ any character."})
