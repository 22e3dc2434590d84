"""What is taken out of a producer's settings to connect as it does, and what is told of it."""

import asyncio
import copy
import ssl

import pytest
import trustme
from hypothesis import given
from hypothesis import strategies as st

from superclient.errors import SettingError, Unreachable
from superclient.kafka import LIBRARIES, aiokafka, security

SENSITIVE = {
    "kafka-python": ["sasl_plain_password", "ssl_password"],
    "aiokafka": ["sasl_plain_password"],
    "confluent-kafka": [
        "sasl.password", "ssl.key.password", "ssl.key.pem", "ssl_key", "ssl.keystore.password",
        "sasl.oauthbearer.config", "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret", "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.assertion.private.key.passphrase", "sasl.oauthbearer.extensions",
    ],
}  # fmt: skip
PROTOCOLS = ["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL", "sasl_ssl"]


def named(library, canonical):
    return canonical if library == "confluent-kafka" else canonical.replace(".", "_")


@pytest.mark.parametrize(
    ("library", "settings", "expected"),
    [
        ("kafka-python", {"bootstrap_servers": "b:2,a:1"}, ("a:1", "b:2")),
        ("kafka-python", {"bootstrap_servers": ["b:2", "a"]}, ("a:9092", "b:2")),
        ("kafka-python", {"bootstrap_servers": ("a:1",)}, ("a:1",)),
        ("kafka-python", {"bootstrap_servers": {"a:1", "b:2"}}, ("a:1", "b:2")),
        ("kafka-python", {"bootstrap_servers": "[::1]:9093"}, ("[::1]:9093",)),
        ("kafka-python", {}, ("localhost:9092",)),
        ("aiokafka", {"bootstrap_servers": None}, ("localhost:9092",)),
        ("aiokafka", {"bootstrap_servers": " a:1 , b:2 "}, ("a:1", "b:2")),
        ("confluent-kafka", {"bootstrap.servers": "SASL_SSL://a:1"}, ("a:1",)),
        ("confluent-kafka", {"metadata.broker.list": "a:1"}, ("a:1",)),
        ("confluent-kafka", {"bootstrap.servers": "a:1", "metadata.broker.list": "b:2"}, ("b:2",)),
        ("confluent-kafka", {"metadata.broker.list": "b:2", "bootstrap.servers": "a:1"}, ("a:1",)),
    ],
)
def test_bootstrap_servers_in_any_form(library, settings, expected):
    """AGT-28: str, list, tuple, set, alias or none at all."""
    assert security.connection(library, settings).bootstrap == expected


def test_a_generator_is_not_used_up():
    """AGT-21: the program's own client still finds its servers."""
    servers = (each for each in ["a:1"])
    assert security.connection("kafka-python", {"bootstrap_servers": servers}).bootstrap == ()
    assert list(servers) == ["a:1"]


def test_only_what_it_takes_to_connect_is_taken():
    """AGT-43: security, DNS, proxy and api_version come along; serializers, tuning and callbacks do not."""
    context = ssl.create_default_context()
    taken = security.connection(
        "kafka-python",
        {
            "bootstrap_servers": "a:1",
            "security_protocol": "SASL_SSL",
            "ssl_context": context,
            "api_version": (2, 1),
            "proxy_url": "socks5://p:1",
            "client_dns_lookup": "use_all_dns_ips",
            "client_id": "program",
            "acks": "all",
            "linger_ms": 5,
            "key_serializer": str.encode,
            "kafka_client": object,
        },
    ).settings
    assert set(taken) == {
        "bootstrap_servers", "security_protocol", "ssl_context", "api_version", "proxy_url", "client_dns_lookup",
    }  # fmt: skip
    assert taken["ssl_context"] is context
    callback = lambda config: ("token", 1.0)  # noqa: E731
    taken = security.connection(
        "confluent-kafka",
        {"bootstrap.servers": "a:1", "oauth_cb": callback, "error_cb": print, "stats_cb": print, "debug": "all"},
    ).settings
    assert taken == {"bootstrap.servers": "a:1", "oauth_cb": callback}


@given(
    library=st.sampled_from(LIBRARIES),
    protocol=st.sampled_from(PROTOCOLS),
    secret=st.from_regex(r"[A-Za-z0-9]{12,24}", fullmatch=True),
    user=st.sampled_from(["alice", "bob", None]),
)
def test_no_secret_is_told(library, protocol, secret, user):
    """AGT-42: with secrets in every known field, principal and repr have none, and the input is intact."""
    settings = {name: f"{secret}{number}" for number, name in enumerate(SENSITIVE[library])}
    settings |= {named(library, "security.protocol"): protocol, named(library, "sasl.mechanism"): "PLAIN"}
    settings |= {named(library, "bootstrap.servers"): f"user:{secret}@a:1"}
    if user is not None:
        settings["sasl.username" if library == "confluent-kafka" else "sasl_plain_username"] = user
    before = copy.copy(settings)
    found = security.connection(library, settings)
    assert secret not in f"{found!r} {found.principal} {found.bootstrap} {found.key}"
    assert settings == before
    assert set(SENSITIVE[library]) <= set(found.settings)


def principal(library="kafka-python", **settings):
    return security.connection(library, {"bootstrap_servers": "a:1", **settings}).principal


def test_who_comes_makes_the_principal():
    """AGT-23: another user, mechanism, certificate or token provider is another principal; the same one is the same."""
    sasl = {"security_protocol": "SASL_SSL", "sasl_mechanism": "PLAIN", "sasl_plain_username": "alice"}
    assert principal() == "PLAINTEXT"
    assert principal(**sasl) == "SASL_SSL/PLAIN/alice"
    assert principal(**{**sasl, "sasl_plain_password": "other"}) == principal(**sasl)
    context = ssl.create_default_context()
    provider = type("Provider", (), {"token": lambda self: "t"})()
    different = [
        principal(),
        principal(**sasl),
        principal(**{**sasl, "sasl_plain_username": "bob"}),
        principal(**{**sasl, "sasl_mechanism": "SCRAM-SHA-256"}),
        principal(security_protocol="SSL"),
        principal(security_protocol="SSL", ssl_certfile="/a.pem"),
        principal(security_protocol="SSL", ssl_certfile="/b.pem"),
        principal(security_protocol="SSL", ssl_context=context),
        principal(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", sasl_oauth_token_provider=provider),
    ]
    assert len(set(different)) == len(different)
    assert principal(security_protocol="SSL", ssl_context=context) == principal(
        security_protocol="SSL", ssl_context=context
    )
    oauth = {"security_protocol": "SASL_SSL", "sasl_mechanism": "OAUTHBEARER"}
    assert principal(**oauth, oauth_cb=provider.token) == principal(**oauth, oauth_cb=provider.token)


class TestCanonical:
    @pytest.mark.parametrize("library", LIBRARIES)
    def test_what_the_library_takes_comes_out(self, library, tmp_path):
        """AGT-51: a client can be made of it; certificates become a context where the library wants one."""
        authority, certificate = trustme.CA(), tmp_path / "client.pem"
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        authority.issue_cert("client").private_key_and_cert_chain_pem.write_to_path(str(certificate))
        settings = security.from_canonical(
            library,
            {
                "bootstrap.servers": "127.0.0.1:1",
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": "PLAIN",
                "sasl.username": "alice",
                "sasl.password": "a secret",
                "ssl.ca.location": str(tmp_path / "ca.pem"),
                "ssl.certificate.location": str(certificate),
                "ssl.key.location": str(certificate),
            },
        )
        if library == "confluent-kafka":
            from confluent_kafka import Producer

            Producer({**settings, "log_level": 0})
        elif library == "kafka-python":
            from kafka import KafkaProducer

            assert set(settings) <= set(KafkaProducer.DEFAULT_CONFIG)
        else:
            assert isinstance(settings.pop("ssl_context"), ssl.SSLContext)
            assert set(settings) == {
                "bootstrap_servers", "security_protocol", "sasl_mechanism", "sasl_plain_username",
                "sasl_plain_password",
            }  # fmt: skip

    def test_an_unknown_name_is_an_error_that_names_it(self):
        """AGT-51: a typing mistake is not silently no security."""
        with pytest.raises(SettingError, match=r"sasl\.passwort"):
            security.from_canonical("kafka-python", {"sasl.passwort": "hunter2"})


class TestTokenProviderOfALoop:
    def test_without_its_loop_there_is_no_connection(self):
        """AGT-44: an asynchronous token provider whose loop is gone is not called somewhere else."""
        loop = asyncio.new_event_loop()
        loop.close()
        settings = {"bootstrap_servers": "127.0.0.1:1", "sasl_oauth_token_provider": object()}
        for each in (None, loop):
            with pytest.raises(Unreachable, match="loop"):
                aiokafka.describe_topic(security.connection("aiokafka", settings, each), "orders", 5)

    def test_it_is_asked_on_its_own_loop(self):
        """AGT-44: from our loop, on our thread, the answer comes from the program's."""
        asked_on = []

        class Provider:
            async def token(self):
                asked_on.append(asyncio.get_running_loop())
                return "token"

            def extensions(self):
                return {"extension": "yes"}

        async def program():
            loop, provider = asyncio.get_running_loop(), Provider()
            bridged = aiokafka._provider(security.connection("aiokafka", {"sasl_oauth_token_provider": provider}, loop))
            token = await asyncio.to_thread(lambda: asyncio.run(bridged.token()))
            assert (token, bridged.extensions()) == ("token", {"extension": "yes"})
            assert asked_on == [loop]

        asyncio.run(program())
