"""`--filter`: keeps what matches of lines and of JSON; JSON stays JSON.

`REGEX` keeps lines, items of lists and entries of objects in which it is found. `KEY:REGEX` keeps the objects whose KEY
holds something in which it is found, wherever they are, and the way that leads to them. The case of letters does not
count. Pure: no input, no output.
"""

import json
import re

import click

_KEYED = re.compile(r"([A-Za-z_][\w.\-]*):(.+)", re.DOTALL)
_NOTHING = object()


class Filter:
    """One `--filter`.

    Raises:
        click.UsageError: it is no regular expression.
    """

    def __init__(self, pattern: str) -> None:
        keyed = _KEYED.fullmatch(pattern)
        self._whole = _compiled(pattern)
        self._key = None if keyed is None else keyed[1]
        self._value = None if keyed is None else _compiled(keyed[2])
        self.keyed = keyed is not None
        """Whether it is KEY:REGEX."""

    def keeps_line(self, text: str) -> bool:
        """Whether a line stays: it matches, or it is JSON with a KEY that does."""
        if self._whole.search(text):
            return True
        if self._key is None or text.lstrip()[:1] not in ("{", "["):
            return False
        try:
            return self._has_key(json.loads(text))
        except (ValueError, RecursionError):
            return False

    def keeps(self, record: object) -> bool:
        """Whether one record of many stays, as a whole."""
        return self._has_key(record) if self._value else self._has_text(record)

    def document(self, data: object) -> object:
        """What is left of a document; an empty one of its kind where nothing matches, None of a scalar."""
        found = self._by_key(data) if self._value else self._by_text(data)
        if found is not _NOTHING:
            return found
        return {} if isinstance(data, dict) else [] if isinstance(data, list) else None

    def _by_key(self, data: object) -> object:
        if isinstance(data, dict):
            if self._is_match(data):
                return data
            return {name: kept for name, one in data.items() if (kept := self._by_key(one)) is not _NOTHING} or _NOTHING
        if isinstance(data, list):
            return [kept for one in data if (kept := self._by_key(one)) is not _NOTHING] or _NOTHING
        return _NOTHING

    def _by_text(self, data: object) -> object:
        if isinstance(data, dict):
            entries = {name: one if self._whole.search(name) else self._by_text(one) for name, one in data.items()}
            return {name: one for name, one in entries.items() if one is not _NOTHING} or _NOTHING
        if isinstance(data, list):
            return [one for one in data if self._has_text(one)] or _NOTHING
        return data if self._has_text(data) else _NOTHING

    def _has_text(self, data: object) -> bool:
        if isinstance(data, dict):
            return any(map(self._has_text, data.values()))
        if isinstance(data, list):
            return any(map(self._has_text, data))
        return self._whole.search(_shown(data)) is not None

    def _has_key(self, data: object) -> bool:
        if isinstance(data, dict):
            return self._is_match(data) or any(map(self._has_key, data.values()))
        return isinstance(data, list) and any(map(self._has_key, data))

    def _is_match(self, data: dict[str, object]) -> bool:
        value = data.get(self._key or "", _NOTHING)
        return value is not _NOTHING and self._value is not None and self._value.search(_shown(value)) is not None


def _shown(data: object) -> str:
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, default=str)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern, re.IGNORECASE)
    except re.error as error:
        raise click.UsageError(f"--filter {pattern!r} is no regular expression: {error}") from None
