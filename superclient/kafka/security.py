"""What it takes to connect: out of a producer's own settings, or from canonical names into a library's form."""

import hashlib
import re
import weakref
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

from superclient.errors import SettingError
from superclient.kafka.connection import Connection

if TYPE_CHECKING:
    import ssl
    from asyncio import AbstractEventLoop

_SERVERS = {
    "kafka-python": ("bootstrap_servers",),
    "aiokafka": ("bootstrap_servers",),
    "confluent-kafka": ("bootstrap.servers", "metadata.broker.list"),  # aliases: the last one written counts
}
# What else an internal client needs, as whole names and as beginnings of names, so that a setting which a library's
# next release adds for a new way to authenticate is carried along too.
_NAMES = {
    "kafka-python": {
        "security_protocol", "api_version", "client_dns_lookup", "proxy_url", "socks5_proxy", "socket_options",
    },
    "aiokafka": {"security_protocol", "api_version"},
    "confluent-kafka": {
        "security.protocol", "oauth_cb", "ssl_key", "ssl_certificate", "ssl_ca", "client.dns.lookup",
        "broker.address.family", "broker.address.ttl", "api.version.request", "api.version.fallback.ms",
        "broker.version.fallback", "socket.keepalive.enable",
    },
}  # fmt: skip
_BEGINNINGS = {
    "kafka-python": ("ssl_", "sasl_"),
    "aiokafka": ("ssl_", "sasl_"),
    "confluent-kafka": ("ssl.", "sasl.", "https.", "enable.ssl.", "enable.sasl."),
}
# Who comes, told by what may be told: never a key, a password or a digest of one.
_PROTOCOL = ("security_protocol", "security.protocol")
_MECHANISM = ("sasl_mechanism", "sasl.mechanism", "sasl.mechanisms")
_USER = ("sasl_plain_username", "sasl.username")
_TELLING = (
    "sasl_kerberos_name", "sasl_kerberos_service_name", "sasl_oauth_token_provider", "sasl.kerberos.principal",
    "sasl.kerberos.service.name", "oauth_cb", "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.id", "sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.scope",
)  # fmt: skip
_CERTIFICATE = (
    "ssl_context", "ssl_certfile", "ssl.certificate.location", "ssl.certificate.pem", "ssl_certificate",
    "ssl.keystore.location",
)  # fmt: skip
_TRANSLATIONS: Mapping[str, Mapping[str, str]] = {
    "kafka-python": {
        "bootstrap.servers": "bootstrap_servers",
        "security.protocol": "security_protocol",
        "sasl.mechanism": "sasl_mechanism",
        "sasl.username": "sasl_plain_username",
        "sasl.password": "sasl_plain_password",
        "ssl.ca.location": "ssl_cafile",
        "ssl.certificate.location": "ssl_certfile",
        "ssl.key.location": "ssl_keyfile",
        "ssl.key.password": "ssl_password",
    },
    "aiokafka": {
        "bootstrap.servers": "bootstrap_servers",
        "security.protocol": "security_protocol",
        "sasl.mechanism": "sasl_mechanism",
        "sasl.username": "sasl_plain_username",
        "sasl.password": "sasl_plain_password",
    },
}
CANONICAL = tuple(_TRANSLATIONS["kafka-python"])


def connection(library: str, settings: Mapping[str, Any], loop: "AbstractEventLoop | None" = None) -> Connection:
    """How a producer with these settings (the library's own names) reaches its cluster.

    Args:
        library: "kafka-python", "aiokafka" or "confluent-kafka".
        settings: keyword arguments or configuration dict of the producer; left as it is.
        loop: the event loop that an asynchronous token provider among them is bound to.
    """
    names = _SERVERS[library]
    written = [value for name, value in settings.items() if name in names and value is not None]
    servers = _servers(written[-1] if written else "localhost:9092")
    needed = {
        name: value
        for name, value in settings.items()
        if isinstance(name, str) and (name in _NAMES[library] or name.startswith(_BEGINNINGS[library]))
    }
    needed[names[0]] = ",".join(servers) if library == "confluent-kafka" else servers
    bootstrap = tuple(sorted({_address(server) for server in servers}))
    # A registry that held every program's loop would keep alive what a program leaves on it.
    lender = weakref.ref(loop) if loop is not None and "sasl_oauth_token_provider" in needed else None
    return Connection(library, bootstrap, _principal(needed), needed, lender)


def from_canonical(library: str, canonical: Mapping[str, str]) -> dict[str, Any]:
    """The connection settings of `CANONICAL` in the form that a library's clients take.

    Raises:
        SettingError: a name that is not one of `CANONICAL`.
        OSError: a certificate or key that cannot be read (for aiokafka, which takes a context made of them).
    """
    for name in canonical:
        if name not in CANONICAL:
            raise SettingError(f"{name} is not a connection setting; known are {', '.join(CANONICAL)}")
    if library == "confluent-kafka":
        return dict(canonical)
    names = _TRANSLATIONS[library]
    settings: dict[str, Any] = {names[name]: value for name, value in canonical.items() if name in names}
    if library == "aiokafka" and settings.get("security_protocol", "").endswith("SSL"):
        settings["ssl_context"] = _context(canonical)
    return settings


def _context(canonical: Mapping[str, str]) -> "ssl.SSLContext":
    import ssl

    context = ssl.create_default_context(cafile=canonical.get("ssl.ca.location"))
    if "ssl.certificate.location" in canonical:
        context.load_cert_chain(
            canonical["ssl.certificate.location"], canonical.get("ssl.key.location"), canonical.get("ssl.key.password")
        )
    return context


def _servers(value: object) -> list[str]:
    # A generator would be used up by looking at it, and the program's own client could not start.
    items = value.split(",") if isinstance(value, str) else value if isinstance(value, Collection) else ()
    return [text for item in items if (text := str(item).strip())]


def _address(server: str) -> str:
    server = server.rpartition("://")[2].rpartition("@")[2]
    return server if re.search(r":\d+$", server) else f"{server}:9092"


def _principal(settings: Mapping[str, Any]) -> str:
    protocol = (_first(settings, _PROTOCOL) or "PLAINTEXT").upper()
    parts = [protocol]
    if protocol.startswith("SASL"):
        parts += [_first(settings, _MECHANISM).upper(), _first(settings, _USER)]
        parts += _digests(settings, _TELLING)
    if protocol.endswith("SSL"):
        parts += _digests(settings, _CERTIFICATE)
    return "/".join(part for part in parts if part)


def _first(settings: Mapping[str, Any], names: Collection[str]) -> str:
    return next((str(settings[name]) for name in names if settings.get(name) is not None), "")


def _digests(settings: Mapping[str, Any], names: Collection[str]) -> list[str]:
    return [_digest(settings[name]) for name in names if settings.get(name) is not None]


def _digest(value: object) -> str:
    """A short name for a certificate, or for the very object that stands for a user."""
    if not isinstance(value, (str, bytes)):
        owner = getattr(value, "__self__", value)  # a bound method is another object each time
        value = f"{type(value).__qualname__} {getattr(value, '__qualname__', '')} {id(owner)}"
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).hexdigest()[:12]
