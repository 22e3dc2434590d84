"""Nothing secret leaves: AGT-42, over every sensitive field of the three libraries."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from superclient import redact
from superclient.kafka.vocabulary import canonical_name

SECRETS = {
    "kafka-python": "sasl_plain_password sasl_plain_username ssl_password ssl_keyfile ssl_certfile "
    "sasl_oauth_token_provider sasl_kerberos_name proxy_url socks5_proxy ssl_context",
    "aiokafka": "sasl_plain_password sasl_plain_username sasl_oauth_token_provider ssl_context",
    "confluent-kafka": "sasl.password sasl.username ssl.key.password ssl.key.pem ssl.key.location ssl.certificate.pem "
    "ssl.keystore.password ssl.keystore.location ssl.ca.pem sasl.oauthbearer.config sasl.oauthbearer.client.secret "
    "sasl.oauthbearer.client.id sasl.oauthbearer.token.endpoint.url sasl.kerberos.keytab sasl.kerberos.kinit.cmd "
    "ssl_key ssl_certificate plugin.library.paths basic.auth.user.info",
}
FIELDS = [(library, name) for library, names in SECRETS.items() for name in names.split()]
SECRET = "hunter2-s3cr3t"


@pytest.mark.parametrize(("library", "name"), FIELDS)
def test_no_sensitive_field_is_reportable(library: str, name: str) -> None:
    """AGT-42: known secrets of the three libraries do not pass the allow-list."""
    assert redact.reportable({canonical_name(library, name): SECRET, name: SECRET}) == {}


class Provider:
    """A token provider whose repr tells too much."""

    def __repr__(self) -> str:
        return SECRET

    def __call__(self) -> str:
        return SECRET


@given(
    st.dictionaries(
        st.sampled_from([name for _, name in FIELDS] + sorted(redact.REPORTABLE)) | st.text(),
        st.sampled_from([Provider(), Provider, [SECRET], {"password": SECRET}, lambda: SECRET, f"user:{SECRET}@host"]),
    )
)
def test_no_secret_in_any_object_passes(configuration: dict[str, Any]) -> None:
    """AGT-42: objects and callables become their type's name wherever they stand; an address loses credentials."""
    texts = {
        name: value for name, value in configuration.items() if isinstance(value, str) and name != "bootstrap.servers"
    }
    shown = redact.reportable({name: value for name, value in configuration.items() if name not in texts})
    assert SECRET not in json.dumps(shown)


def test_bootstrap_servers_keep_hosts_alone() -> None:
    """AGT-42: what does not look like host:port stays here."""
    servers = ["a:9092", "PLAINTEXT://b:9093", f"user:{SECRET}@c:1", "[::1]:9092"]
    assert redact.reportable({"bootstrap.servers": servers}) == {"bootstrap.servers": "a:9092,b:9093,[::1]:9092"}
    assert redact.reportable({"bootstrap.servers": "a:1, b:2"}) == {"bootstrap.servers": "a:1,b:2"}


def test_values_are_json_scalars() -> None:
    """AGT-42: infinity and classes are said in words; text has a bound."""
    shown = redact.reportable({"retries": float("inf"), "partitioner.class": Provider, "client.id": "x" * 9999})
    assert shown["retries"] == "inf"
    assert shown["partitioner.class"] == "Provider"
    assert len(str(shown["client.id"])) == 500


@pytest.mark.parametrize(
    "name",
    ["sasl.password", "ssl.key.password", "SUPERSTREAM_API_KEY", "oauth.client.secret", "token", "sasl.pasword", "pwd"],
)
def test_screens_mask_what_is_named_like_a_secret(name: str) -> None:
    """AGT-42: masking for people goes by name; nothing set stays visibly nothing."""
    assert redact.masked(name, SECRET) == redact.MASK
    assert redact.masked(name, "") == ""
    assert redact.masked("linger.ms", 5) == 5


@pytest.mark.parametrize("address", ["{}@c:1", "kafka+ssl://{}@c:1", "a:1,{}@c:1", "a:1, {}@c:1"])
def test_screens_mask_what_is_before_an_address(address: str) -> None:
    """KLI-28: whoever writes a password into an address does not see it again, with a scheme or without."""
    assert redact.masked("bootstrap.servers", address.format(f"user:{SECRET}")) == address.format(redact.MASK)
    assert redact.masked("client.id", "somebody@host a:b") == "somebody@host a:b"


def test_environment_reports_ours_masked() -> None:
    """AGT-42: environment variables are those starting with SUPERSTREAM_, and one called a token is masked."""
    assert redact.environment({"SUPERSTREAM_DEBUG": "1", "SUPERSTREAM_TOKEN": SECRET, "HOME": "/root"}) == {
        "SUPERSTREAM_DEBUG": "1",
        "SUPERSTREAM_TOKEN": redact.MASK,
    }
