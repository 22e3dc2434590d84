"""Can the cluster, the metadata topic and the reports topic be reached, and if not, why not: the doctor's questions.

The servers are asked by plain sockets first: what a client library says of a refused connection or a certificate that
it does not trust is rarely what a person can act on. The topics are then looked for as the agent does it, by a library.
"""

import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from superclient import contract
from superclient.cli._findings import Finding, Level
from superclient.errors import ClusterError, ContractError, NotAuthorized, Unreachable
from superclient.kafka import face
from superclient.kafka.connection import Connection, Found, LastRecord

T = TypeVar("T")

_INIT = "superclient init --bootstrap-servers {servers}"
_NOT_ASKED = "not asked: the cluster is out of reach"


def examine(connection: Connection, settings: Mapping[str, str], timeout: float) -> list[Finding]:
    """What there is to say about the cluster; each step takes at most `timeout` seconds."""
    findings = [_server(server, settings, timeout) for server in connection.bootstrap]
    if all(finding.level is Level.PROBLEM for finding in findings):
        return [*findings, *_unasked(contract.METADATA_TOPIC, contract.CLIENTS_TOPIC)]
    # One server of several that is down is no reason to fail: that is why there are several.
    findings = [replace(each, level=Level.HINT) if each.level is Level.PROBLEM else each for each in findings]
    library = face(connection.library)
    metadata = _attempt(lambda: library.last_record(connection, contract.METADATA_TOPIC, timeout))
    if isinstance(metadata, ClusterError) and not about_topic(metadata):
        reason = Finding("cluster", Level.PROBLEM, _why(metadata, settings, connection, timeout))
        return [*findings, reason, *_unasked(contract.METADATA_TOPIC, contract.CLIENTS_TOPIC)]
    clients = _attempt(lambda: library.describe_topic(connection, contract.CLIENTS_TOPIC, timeout))
    principal = "" if connection.principal == "PLAINTEXT" else f" as {connection.principal}"
    cluster = Finding("cluster", Level.OK, f"answers {connection.library}{principal}")
    init = _INIT.format(servers=settings["bootstrap.servers"])
    return [*findings, cluster, *_metadata(metadata, init), _clients(clients, connection, timeout, init)]


def explain(error: ClusterError, connection: Connection, settings: Mapping[str, str], timeout: float) -> str:
    """Why a cluster could not be asked, in a line that a person can act on."""
    servers = [_server(server, settings, timeout) for server in connection.bootstrap]
    if all(server.level is Level.PROBLEM for server in servers):
        return "; ".join(f"{server.name} {server.text}" for server in servers)
    return _why(error, settings, connection, timeout)


def _unasked(*topics: str) -> list[Finding]:
    return [Finding(topic, Level.INFO, _NOT_ASKED) for topic in topics]


def _attempt(call: Callable[[], T]) -> T | ClusterError:
    try:
        return call()
    except ClusterError as error:
        return error
    except Exception as error:  # a constructor of the library that refuses a setting
        return ClusterError(f"{type(error).__name__}: {str(error)[:200]}")


def about_topic(error: ClusterError) -> bool:
    """Whether the broker let us in and refused the topic alone."""
    return isinstance(error, NotAuthorized) and "TOPIC" in str(error).upper()


def _server(server: str, settings: Mapping[str, str], timeout: float) -> Finding:
    host, port = _address(server)
    try:
        with socket.create_connection((host, port), timeout) as plain:
            if not settings["security.protocol"].endswith("SSL"):
                return Finding(server, Level.OK, "accepts connections")
            with _context(settings).wrap_socket(plain, server_hostname=host) as encrypted:
                return Finding(server, Level.OK, f"accepts connections, {encrypted.version()}")
    except ssl.SSLCertVerificationError as error:
        text = f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
        return Finding(server, Level.PROBLEM, text, "--ssl-ca FILE names the authority that signed it")
    except (OSError, OverflowError, UnicodeError) as error:
        return Finding(server, Level.PROBLEM, _unreached(error, host, timeout))


def _address(server: str) -> tuple[str, int]:
    host, _, port = server.rpartition(":")
    return host.strip("[]"), int(port)


def _unreached(error: Exception, host: str, timeout: float) -> str:
    if isinstance(error, (socket.gaierror, UnicodeError)):  # the latter: no name can be so
        return f"the name {host} does not resolve"
    if isinstance(error, ssl.SSLError):
        speaks = "it does not speak TLS" if "WRONG_VERSION" in str(error.reason) else str(error.reason or error)
        return f"no TLS connection: {speaks}"
    if isinstance(error, TimeoutError):
        return f"does not answer within {timeout:g} s (a firewall, or a wrong address?)"
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection: nothing listens there"
    return f"cannot be reached: {getattr(error, 'strerror', None) or error}"


def _context(settings: Mapping[str, str]) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=settings.get("ssl.ca.location"))
    if "ssl.certificate.location" in settings:
        key, password = settings.get("ssl.key.location"), settings.get("ssl.key.password")
        context.load_cert_chain(settings["ssl.certificate.location"], key, password)
    return context


def _why(error: ClusterError, settings: Mapping[str, str], connection: Connection, timeout: float) -> str:
    protocol = settings["security.protocol"]
    if isinstance(error, NotAuthorized):
        user = settings.get("sasl.username")
        return (
            f"the credentials{f' of {user}' if user else ''} were refused by {settings.get('sasl.mechanism', protocol)}"
        )
    if not protocol.endswith("SSL") and any(_speaks_tls(server, timeout) for server in connection.bootstrap):
        return f"the server speaks TLS, and --security-protocol is {protocol}"
    if protocol.startswith("SASL") and isinstance(error, Unreachable):
        # A broker may hang up on a wrong password, or answer later than the client waits, and give no reason.
        return f"it lets nobody in: {error}; are the mechanism and the credentials right?"
    if isinstance(error, Unreachable):
        return f"it gives no metadata: {error}; does it advertise an address that this machine can reach?"
    return f"{connection.library} could not read it: {error}"


def _speaks_tls(server: str, timeout: float) -> bool:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection(_address(server), timeout) as plain, context.wrap_socket(plain):
            return True
    except (OSError, OverflowError):
        return False


def _metadata(seen: LastRecord | ClusterError, init: str) -> list[Finding]:
    name = contract.METADATA_TOPIC
    if isinstance(seen, ClusterError):
        return [_refused(name, "read", seen)]
    if seen.found is Found.NO_TOPIC:
        return [Finding(name, Level.PROBLEM, "is not on the cluster: agents use sensible defaults", init)]
    if seen.found is Found.EMPTY:
        return [Finding(name, Level.OK, "is empty: agents use sensible defaults", facts={"topics": 0})]
    try:
        metadata = contract.parse_metadata(seen.value)
    except ContractError as error:
        return [Finding(name, Level.PROBLEM, f"{error}; producers keep their own configuration")]
    number = len(metadata.topics)
    state = "active" if metadata.active else "active: false, so producers keep their own configuration"
    facts = {"active": metadata.active, "topics": number, "report_interval_ms": metadata.report_interval_ms}
    seconds = metadata.report_interval_ms / 1000
    text = f"{state}; recommendations for {number} topic{'s' * (number != 1)}, reports every {seconds:g} s"
    refusals = [
        Finding(name, Level.HINT, f"of topic {topic.topic}, {setting} is not taken: {why}")
        for topic in metadata.topics.values()
        for setting, why in topic.refused.items()
    ]
    return [Finding(name, Level.OK, text, facts=facts), *refusals]


def _clients(seen: int | ClusterError | None, connection: Connection, timeout: float, init: str) -> Finding:
    name = contract.CLIENTS_TOPIC
    if isinstance(seen, ClusterError):
        return _refused(name, "write", seen)
    if seen is None:
        return Finding(name, Level.PROBLEM, "is not on the cluster: agents cannot report", init)
    facts = {"partitions": seen}
    text = f"{seen} partition{'s' * (seen > 1)}"
    right = _may_write(connection, timeout)
    if right is False:
        text += ", but no right to write it: agents cannot report"
        return Finding(name, Level.PROBLEM, text, "superclient init prints the ACLs that agents need", facts)
    return Finding(
        name, Level.OK, text + (", may be written" if right else ", the right to write was not asked"), "", facts
    )


def _refused(topic: str, operation: str, error: ClusterError) -> Finding:
    if isinstance(error, NotAuthorized):
        text, fix = f"no right to {operation} it", "superclient init prints the ACLs that agents need"
        return Finding(topic, Level.PROBLEM, text, fix)
    return Finding(topic, Level.PROBLEM, f"could not be asked: {error}")


def _may_write(connection: Connection, timeout: float) -> bool | None:
    """Whether the principal may write the reports topic, by the broker's word; None where only a record would tell."""
    if connection.library != "confluent-kafka":
        return None
    try:
        from confluent_kafka import TopicCollection, admin

        client = admin.AdminClient({**connection.settings, "log_level": 0})
        asked = client.describe_topics(
            TopicCollection([contract.CLIENTS_TOPIC]), include_authorized_operations=True, request_timeout=timeout
        )
        operations: list[Any] | None = asked[contract.CLIENTS_TOPIC].result(timeout).authorized_operations
    except Exception:  # an old library or broker does not know the question
        return None
    return None if operations is None else any(each.name == "WRITE" for each in operations)
