"""A broker whose SASL_SSL listener asks for credentials and whose authorizer asks for rights."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import trustme
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from tests.servers.kafka import Broker
from tests.servers.topics import wait_for

_SECURITY = "org.apache.kafka.common.security"


class SecureBroker(Broker):
    """Users `app` and `other` may log in by PLAIN or SCRAM-SHA-256; neither has a right until `grant` gives it one.

    `bootstrap` stays the plain listener, which administers; programs under test use `secure_bootstrap`.
    """

    users = {"app": "app-secret", "other": "other-secret"}  # noqa: RUF012  constants, as a table

    def __init__(self, folder: Path, name: str = "secure-kafka") -> None:
        self.ca_file = folder / "ca.pem"
        self._key_store = folder / "server.pem"
        super().__init__(folder, name)

    def properties(self) -> dict[str, str]:
        self._make_certificates()
        properties = super().properties()
        (port,) = self._take_ports(1)
        self.secure_bootstrap = f"127.0.0.1:{port}"
        plain = " ".join(f'user_{user}="{password}"' for user, password in self.users.items())
        properties["listeners"] += f",SASL_SSL://127.0.0.1:{port}"
        properties["advertised.listeners"] += f",SASL_SSL://127.0.0.1:{port}"
        return {
            **properties,
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self._key_store),
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
            "listener.name.sasl_ssl.plain.sasl.jaas.config": f"{_SECURITY}.plain.PlainLoginModule required {plain};",
            "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config": f"{_SECURITY}.scram.ScramLoginModule required;",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }

    def format_options(self) -> list[str]:
        options = []
        for user, password in self.users.items():
            options += ["--add-scram", f"SCRAM-SHA-256=[name={user},password={password}]"]
        return options

    def grant(
        self, user: str, topic: str, operations: Iterable[str] = ("WRITE", "DESCRIBE"), *, group: bool = False
    ) -> None:
        """Gives `user` rights on a topic (with `group=True`, on that consumer group); `*` is every one."""
        kind = ResourceType.GROUP if group else ResourceType.TOPIC
        bindings = [self._binding(AclBinding, kind, topic, user, operation) for operation in operations]
        admin = self.admin()  # must outlive its results
        for result in admin.create_acls(bindings).values():
            result.result(15)
        self._await_rights(admin, user, lambda now: now.issuperset(bindings))

    def revoke_all(self, user: str) -> None:
        """Takes every right of `user` away."""
        admin = self.admin()
        for result in admin.delete_acls([self._every(user)]).values():
            result.result(15)
        self._await_rights(admin, user, lambda now: not now)

    def _await_rights(self, admin: AdminClient, user: str, reached: Callable[[set[Any]], bool]) -> None:
        """The controller answers once a change is written; the authorizer, which is asked here, learns it later."""
        every = self._every(user)
        wait_for(lambda: reached(set(admin.describe_acls(every).result(15))), f"the rights of {user} are in force")

    def client_config(
        self, library: str, user: str = "app", password: str | None = None, mechanism: str = "PLAIN"
    ) -> dict[str, Any]:
        """The arguments with which a client of `library` (kafka-python, aiokafka, confluent) logs in securely."""
        password = self.users[user] if password is None else password
        if library == "confluent":
            return {
                "bootstrap.servers": self.secure_bootstrap,
                "security.protocol": "SASL_SSL",
                "sasl.mechanism": mechanism,
                "sasl.username": user,
                "sasl.password": password,
                "ssl.ca.location": str(self.ca_file),
            }
        config: dict[str, Any] = {
            "bootstrap_servers": self.secure_bootstrap,
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": mechanism,
            "sasl_plain_username": user,
            "sasl_plain_password": password,
        }
        if library == "aiokafka":
            return {**config, "ssl_context": ssl.create_default_context(cafile=str(self.ca_file))}
        return {**config, "ssl_cafile": str(self.ca_file)}

    def _make_certificates(self) -> None:
        authority = trustme.CA()
        certificate = authority.issue_cert("127.0.0.1", "localhost")
        authority.cert_pem.write_to_path(str(self.ca_file))
        # One file with the key (PKCS#8, as trustme writes none) and the chain after it.
        self._key_store.write_bytes(_pkcs8(certificate.private_key_pem.bytes()))
        for blob in certificate.cert_chain_pems:
            blob.write_to_path(str(self._key_store), append=True)

    @staticmethod
    def _every(user: str) -> Any:
        """Matches each right of `user`."""
        return AclBindingFilter(
            ResourceType.ANY,
            None,
            ResourcePatternType.ANY,
            f"User:{user}",
            None,
            AclOperation.ANY,
            AclPermissionType.ANY,
        )

    @staticmethod
    def _binding(make: Any, kind: ResourceType, name: str, user: str, operation: str) -> Any:
        allow = AclPermissionType.ALLOW
        return make(kind, name, ResourcePatternType.LITERAL, f"User:{user}", "*", AclOperation[operation], allow)


def _pkcs8(key: bytes) -> bytes:
    from cryptography.hazmat.primitives import serialization as pem

    loaded = pem.load_pem_private_key(key, password=None)
    return loaded.private_bytes(pem.Encoding.PEM, pem.PrivateFormat.PKCS8, pem.NoEncryption())
