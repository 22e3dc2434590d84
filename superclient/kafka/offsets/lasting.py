"""A connection's settings for a client that stays: what the program lent is asked for anew each time it is needed."""

from collections.abc import Mapping
from typing import Any

from superclient.kafka.connection import Connection
from superclient.kafka.offsets.protocol import Address


def lasting(connection: Connection) -> dict[str, Any]:
    """The settings, with functions of ours in place of the program's, which would keep its producer alive.

    Called after the program's are gone, they raise Unreachable. Token providers are the libraries' own affair: they
    stay as they are.

    Raises:
        Unreachable: they are gone already.
    """
    settings = connection.settings
    return {name: _lent(settings, name) if callable(value) else value for name, value in settings.items()}


def _lent(settings: Mapping[str, Any], name: str) -> Any:
    def ask(*args: Any, **kwargs: Any) -> Any:
        return settings[name](*args, **kwargs)

    return ask


def lent_provider(kind: Any, connection: Connection) -> Any:
    """A token provider of this abstract class that asks the program's, whose `token` may be a coroutine function."""
    settings, name = connection.settings, "sasl_oauth_token_provider"
    own = {
        "__init__": lambda self: None,
        "token": lambda self: settings[name].token(),
        "extensions": lambda self: settings[name].extensions() if hasattr(settings[name], "extensions") else {},
    }
    return type("LentProvider", (kind,), own)()


def addresses(connection: Connection) -> list[Address]:
    """Where the cluster's bootstrap servers are."""
    pairs = (server.rpartition(":") for server in connection.bootstrap)
    return [Address(host.strip("[]"), int(port)) for host, _, port in pairs]
