"""Which parser, and which type, are for a topic's records; how often to commit."""

import builtins
import inspect
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, TypedDict


class ParserSpec(TypedDict):
    """What becomes of the records of some topics.

    topics: their names.
    type: what readers ask for: `subscribe(Order)`; any class, a pydantic model or a dataclass too.
    parser: makes such a value of an `aiokafka.ConsumerRecord`. If it raises, that is logged and
        counted, and the record skipped.
    """

    topics: Collection[str]
    type: builtins.type[Any]
    parser: Callable[[Any], Any]  # Any: type checkers would ask each parser to take tombstones into account


class AutoCommit(TypedDict, total=False):
    """When to commit what readers are done with: after so many records, after so many seconds, or whichever is first.

    With neither of them, the offsets are committed when partitions are given back and at the end alone.
    """

    every: int
    interval_s: float


class Routes:
    """The specs by topic. Raises ValueError for specs that cannot be meant."""

    def __init__(self, specs: Iterable[ParserSpec]) -> None:
        self.by_topic: dict[str, list[ParserSpec]] = {}
        if isinstance(specs, Mapping):
            raise ValueError("parsers is a list of ParserSpecs, also where there is one alone")
        for spec in specs:
            if not isinstance(spec, Mapping) or (missing := ParserSpec.__annotations__.keys() - spec.keys()):
                lacks = f"; it has no {', '.join(sorted(missing))}" if isinstance(spec, Mapping) else f", not {spec!r}"
                raise ValueError(f"a ParserSpec has topics, type and parser{lacks}")
            if isinstance(spec["topics"], str) or not isinstance(spec["topics"], Collection) or not spec["topics"]:
                raise ValueError(f"topics is a list of names, at least one; it is {spec['topics']!r}")
            if not callable(spec["parser"]):
                raise ValueError(f"the parser of {named(spec['type'])} is not callable: {spec['parser']!r}")
            if inspect.iscoroutinefunction(spec["parser"]):
                raise ValueError(f"the parser of {named(spec['type'])} is async; one that waits belongs to the reader")
            for topic in spec["topics"]:
                if not isinstance(topic, str) or not topic:
                    raise ValueError(f"a topic's name is a text of at least one character; it is {topic!r}")
                self.by_topic.setdefault(topic, []).append(spec)
        if not self.by_topic:
            raise ValueError("at least one ParserSpec is needed")

    @property
    def topics(self) -> frozenset[str]:
        return frozenset(self.by_topic)

    def topics_of(self, kind: builtins.type[Any]) -> Sequence[str]:
        """Where values of this type come from. Raises ValueError where no spec has it."""
        found = [topic for topic, specs in self.by_topic.items() if any(spec["type"] == kind for spec in specs)]
        if not found:
            known = sorted({named(spec["type"]) for specs in self.by_topic.values() for spec in specs})
            raise ValueError(f"no parser has the type {named(kind)}; they have {', '.join(known)}")
        return found


def checked(auto_commit: AutoCommit | None) -> AutoCommit | None:
    """The same. Raises ValueError where a number cannot be meant, or a name is not known."""
    if auto_commit is not None and not isinstance(auto_commit, Mapping):
        raise ValueError(f"auto_commit is a mapping with every and interval_s, or None; it is {auto_commit!r}")
    for name, value in (auto_commit or {}).items():
        if name not in AutoCommit.__annotations__:
            raise ValueError(f"auto_commit has no {name!r}; it has every and interval_s")
        kinds = (int,) if name == "every" else (int, float)
        if not isinstance(value, kinds) or isinstance(value, bool) or not value > 0:
            wanted = "a whole number" if name == "every" else "a number of seconds"
            raise ValueError(f"auto_commit: {name} is {wanted} above 0; it is {value!r}")
    return auto_commit


def seconds(name: str, value: float) -> float:
    """The same. Raises ValueError where it is no time to wait."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not value > 0:
        raise ValueError(f"{name} is a number of seconds above 0; it is {value!r}")
    return value


def named(kind: object) -> str:
    """A type as people call it."""
    return getattr(kind, "__name__", None) or repr(kind)
