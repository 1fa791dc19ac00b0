"""Regular expressions of callers, in RE2, whose time is bounded by the length of the text."""

from __future__ import annotations

from typing import Any, Optional

from marshmallow import ValidationError

from native_api.adapters.fields import texts
from native_api.adapters.fields.texts import Text


class Pattern(Text):
    """A regular expression in the syntax of RE2."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(texts.PATTERN, **kwargs)

    def _deserialize(self, value: object, attr: Optional[str], data: object, **kwargs: object) -> Any:
        import re2

        pattern = super()._deserialize(value, attr, data, **kwargs)
        try:
            self._compiled(pattern)
        except re2.error as exc:
            reason = exc.args[0].decode(errors="replace") if isinstance(exc.args[0], bytes) else exc
            raise ValidationError(f"Not a regular expression (RE2): {reason}") from exc
        return pattern

    @classmethod
    def matches(cls, pattern: str, text: str) -> bool:
        """Return whether the pattern matches anywhere in the text."""
        return cls._compiled(pattern).search(text) is not None

    @staticmethod
    def _compiled(pattern: str) -> Any:
        import re2

        options = re2.Options()
        options.log_errors = False
        return re2.compile(pattern, options)
