"""Certificates for a double that encrypts, as the TLS proxy in front of a real broker does."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Certificates:
    """A new authority, and a certificate for 127.0.0.1 and localhost (or for `names`).

    Attributes:
        server: for `GofkaDouble(ssl=…)`. client: a context that trusts the authority, and nobody else.
    """

    def __init__(self, *names: str) -> None:
        self._authority = trustme.CA()
        certificate = self._authority.issue_cert(*(names or ("127.0.0.1", "localhost")))
        self.server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        certificate.configure_cert(self.server)
        self.client = ssl.create_default_context(cadata=self.ca_pem)

    @property
    def ca_pem(self) -> str:
        return self._authority.cert_pem.bytes().decode()

    def write_ca(self, path: Path) -> Path:
        """For clients that want a file."""
        self._authority.cert_pem.write_to_path(str(path))
        return path
