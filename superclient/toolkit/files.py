"""The configuration file: one JSON object whose environments lie over its `default`.

    {"default": {"bootstrap_servers": "localhost:9092"},
     "prod":    {"bootstrap.servers": "kafka-1:9093", "security.protocol": "SASL_SSL",
                 "producer": {"compression.type": "zstd"}, "consumer": {"group.id": "billing"}}}

`~/.kafka/config.json`, or the path that is given, and no other file. A file without environments is one flat mapping.
Reading it needs no Kafka library.
"""

import json
import logging
import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from superclient import redact
from superclient.errors import ConfigFileError

DEFAULT_PATH = "~/.kafka/config.json"
DEFAULT_SERVERS = "localhost:9092"
ROLES = ("producer", "consumer", "admin")

# librdkafka's other names for what the configurations have as fields; else the two would be two settings.
_ALIASES = {
    "metadata.broker.list": "bootstrap.servers",
    "request.required.acks": "acks",
    "message.send.max.retries": "retries",
    "queue.buffering.max.ms": "linger.ms",
    "compression.codec": "compression.type",
    "max.in.flight": "max.in.flight.requests.per.connection",
}

_log = logging.getLogger("superclient.toolkit")


def resolve_env_config(env: str | None = None, path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The settings of an environment: `default` overlaid by it, role sections merged key by key.

    Without an environment: `default`, or the whole mapping where there is none. An environment that the file does not
    have is `{}`, and a warning in the log of `superclient.toolkit`; a default file that is absent is an empty one.
    Names stay as they are written.

    Raises:
        ConfigFileError: the path that was given is absent; a file that cannot be read, or holds no JSON object.
    """
    document = read(path)
    default = _object(document, "default", path) if "default" in document else None
    if env is None:
        return dict(document if default is None else default)
    if env == "default" and default is not None:
        return dict(default)
    if env not in document or not isinstance(document[env], Mapping) or env in ROLES:
        named = ", ".join(environments(document)) or "none"
        _log.warning("%s has no environment %r (it has: %s)", _shown(path), env, named)
        return {}
    merged = _overlaid(default or {}, document[env])
    for role in ROLES:
        below, above = (default or {}).get(role), document[env].get(role)
        if isinstance(below, Mapping) and isinstance(above, Mapping):
            merged[role] = _overlaid(below, above)
    return merged


def _overlaid(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both; a setting that both have is the one above, whichever way the two are spelt."""
    names = {dotted(name) for name in above}
    return {**{name: value for name, value in below.items() if dotted(name) not in names}, **above}


def environments(document: Mapping[str, Any]) -> list[str]:
    """The names of a file's environments, sorted; [] for a flat one."""
    return sorted(name for name, value in document.items() if isinstance(value, Mapping) and name not in ROLES)


def for_role(settings: Mapping[str, Any], role: str) -> dict[str, Any]:
    """The flat settings of "producer", "consumer" or "admin": its own section over the rest, without the others."""
    # What else is a mapping is an environment, of a file that has no default.
    flat = {name: value for name, value in settings.items() if not isinstance(value, Mapping) or _is_mapping(name)}
    flat = {name: value for name, value in flat.items() if name not in ROLES}
    own = settings.get(role)
    if own is not None and not isinstance(own, Mapping):
        raise ConfigFileError(f"section {role} is {type(own).__name__}: it takes an object")
    return {**_one_spelling(flat), **_one_spelling(own or {})}


def with_servers(settings: Mapping[str, Any], env: str | None = None) -> dict[str, Any]:
    """The settings with bootstrap servers: localhost:9092 where they name none, said in a warning."""
    if any(dotted(name) == "bootstrap.servers" for name in _all_names(settings)):
        return dict(settings)
    where = "the configuration" if env is None else f"environment {env!r}"
    _log.warning("%s names no bootstrap servers: %s is used", where, DEFAULT_SERVERS)
    return {**settings, "bootstrap.servers": DEFAULT_SERVERS}


def dotted(name: str) -> str:
    """A setting by its one name: librdkafka's have dots, all but `log_level` and those that take a function."""
    if name == "log_level" or name.endswith("_cb") or name.startswith("on_"):
        return name
    name = name.replace("_", ".")
    return _ALIASES.get(name, name)


def read(path: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The whole file as it is; {} for a default file that is absent.

    Raises:
        ConfigFileError: as `resolve_env_config`.
    """
    file = Path(DEFAULT_PATH if path is None else path)
    try:
        file = file.expanduser()
    except RuntimeError:  # nobody's home is known, as for a made-up user in a container
        if path is None:
            return {}
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        if path is None:
            return {}
        raise ConfigFileError(f"there is no configuration file {file}") from None
    except UnicodeDecodeError:
        raise ConfigFileError(f"{file} is no text in UTF-8") from None
    except OSError as error:
        raise ConfigFileError(f"{file} cannot be read: {error.strerror or error}") from None
    try:
        document = json.loads(text)
    except RecursionError:
        raise ConfigFileError(f"{file} is no JSON that can be read: it is nested too deeply") from None
    except ValueError as error:
        raise ConfigFileError(f"{file} is no JSON: {error}") from None
    if not isinstance(document, dict):
        raise ConfigFileError(f"{file} holds {type(document).__name__}: it takes one JSON object")
    _warn_if_open(file, document)
    return document


def _object(document: Mapping[str, Any], name: str, path: object) -> Mapping[str, Any]:
    found = document[name]
    if not isinstance(found, Mapping):
        raise ConfigFileError(f"{_shown(path)}: {name!r} is {type(found).__name__}: it takes an object")
    return found


def _is_mapping(name: str) -> bool:
    return dotted(name) == "default.topic.config"  # the one setting of confluent-kafka's that is one


def _one_spelling(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Snake_case and dotted are one name, so that a section's spelling overlays the flat key's."""
    return {dotted(name): value for name, value in settings.items()}


def _all_names(settings: Mapping[str, Any]) -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _all_names(value)
        else:
            yield name


def _warn_if_open(file: Path, document: Mapping[str, Any]) -> None:
    if os.name != "posix" or not any(redact.SENSITIVE.search(name) for name in _all_names(document)):
        return
    mode = stat.S_IMODE(file.stat().st_mode)
    if mode & 0o077:
        whom = "everybody" if mode & 0o007 else "its group"
        _log.warning("%s holds secrets and can be read by %s (mode %o): chmod 600 %s", file, whom, mode, file)


def _shown(path: object) -> str:
    return DEFAULT_PATH if path is None else str(path)
