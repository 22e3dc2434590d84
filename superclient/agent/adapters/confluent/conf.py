"""A producer's configuration as confluent-kafka reads it: a dict, keyword arguments, nested topic settings, aliases."""

from collections.abc import Mapping
from typing import Any

from superclient import redact
from superclient.agent.optimizer import number
from superclient.kafka.vocabulary import PARTITIONER, canonical_name, native_names

LIBRARY = "confluent-kafka"
NESTED = "default.topic.config"
STATS_CB, INTERVAL = "stats_cb", "statistics.interval.ms"


def merged(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """The settings of `Producer(*args, **kwargs)` in a new dict, keywords winning; None where they will be refused."""
    if len(args) > 1 or not (args or kwargs) or (args and not isinstance(args[0], dict)):
        return None
    found = {**(args[0] if args else {}), **kwargs}
    return found if all(isinstance(name, str) for name in found) else None


def flat(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with the nested ones where the library puts them: over those of the same name, new ones last."""
    found = {name: value for name, value in settings.items() if name != NESTED}
    nested = settings.get(NESTED)
    if isinstance(nested, dict):
        found.update(nested)
    return found


def canonical(settings: Mapping[str, Any]) -> dict[str, object]:
    """What may be reported of native settings, by canonical name; of several aliases the last written holds."""
    found: dict[str, object] = {}
    for name, value in flat(settings).items():
        found[canonical_name(LIBRARY, str(name))] = value
    return redact.reportable(found)


def settable(changes: Mapping[str, int | str]) -> dict[str, int | str]:
    """Of a plan's changes those that are settings of a handle's; partitioning is not."""
    return {name: value for name, value in changes.items() if name != PARTITIONER}


def changed(settings: Mapping[str, Any], changes: Mapping[str, int | str]) -> dict[str, Any]:
    """A copy with these canonical changes: every alias goes first, for the last one would win."""
    names = {canonical_one: native_names(LIBRARY, canonical_one) for canonical_one in changes}
    copy = without(settings, *(name for aliases in names.values() for name in aliases))
    copy.update({names[canonical_one][0]: value for canonical_one, value in changes.items()})
    return copy


def without(settings: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A copy without these, also among the nested settings."""
    copy = {name: value for name, value in settings.items() if name not in names}
    nested = copy.get(NESTED)
    if isinstance(nested, dict):
        copy[NESTED] = {name: value for name, value in nested.items() if name not in names}
    return copy


def interval(settings: Mapping[str, Any]) -> float | None:
    """Milliseconds between statistics as the program asked for them, 0 for none; None for what will be refused."""
    return number(flat(settings).get(INTERVAL, 0))


def transactional(settings: Mapping[str, Any]) -> bool:
    """Whether the producer takes part in transactions."""
    return bool(flat(settings).get("transactional.id"))
