"""What a connection holds of the program's, and what it only borrows: AGT-25, AGT-42."""

from __future__ import annotations

import gc
import weakref

import pytest

from superclient.errors import Unreachable
from superclient.kafka import security
from superclient.kafka.connection import Connection


class Service:
    """A program's object that owns its producer's connection, as they do."""

    connection: Connection

    def token(self, config: str) -> tuple[str, float]:
        """An OAuth callback."""
        return "t", 0.0


def test_a_callback_does_not_keep_the_program_alive() -> None:
    """AGT-25: an oauth_cb bound to the producer's owner is borrowed; dropping the owner drops everything."""
    service, registry = Service(), []
    callback = service.token
    registry.append(security.connection("confluent-kafka", {"bootstrap.servers": "a:1", "oauth_cb": callback}))
    assert registry[0].settings["oauth_cb"] is callback
    gone = weakref.ref(service)
    del service, callback
    gc.collect()
    assert gone() is None
    with pytest.raises(Unreachable, match="oauth_cb"):
        dict(registry[0].settings)


def test_settings_are_a_plain_mapping_otherwise() -> None:
    """AGT-42: what is needed to connect is there, in order, and in no repr."""
    one = Connection(
        "kafka-python", ("a:1",), "SASL_SSL/PLAIN/u", {"bootstrap_servers": ["a:1"], "sasl_plain_password": "s3"}
    )
    assert {**one.settings} == {"bootstrap_servers": ["a:1"], "sasl_plain_password": "s3"}
    assert len(one.settings) == 2
    assert "s3" not in repr(one)
