"""The options by which a command reaches a cluster, the same for all of them, and the connection they make."""

import argparse
import os
from collections.abc import Mapping

from superclient.cli import _libraries
from superclient.kafka import security
from superclient.kafka.connection import Connection

PASSWORD_VARIABLE = "SUPERCLIENT_SASL_PASSWORD"
KEY_PASSWORD_VARIABLE = "SUPERCLIENT_SSL_KEY_PASSWORD"

_PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "GSSAPI")


class UsageError(Exception):
    """Options that do not go together; the message is for the person who wrote them."""


class NoLibrary(Exception):
    """The library that was asked for, or any at all, is not installed; the message has the pip line."""


def add_arguments(parser: argparse.ArgumentParser, *, required: bool) -> None:
    """The options of a connection; `required` says whether the command can do without a cluster."""
    group = parser.add_argument_group("cluster")
    group.add_argument("--bootstrap-servers", metavar="HOST:PORT,...", required=required, help="where the cluster is")
    group.add_argument("--library", choices=_libraries.NAMES, help="connect with this one (default: one that is here)")
    group.add_argument("--timeout", type=seconds, default=5.0, metavar="SECONDS", help="for each step (default: 5)")
    group.add_argument("--security-protocol", type=str.upper, choices=_PROTOCOLS, help="default: by the options below")
    group.add_argument("--sasl-mechanism", type=str.upper, choices=_MECHANISMS, help="default: PLAIN")
    group.add_argument("--sasl-username", metavar="NAME")
    group.add_argument(
        "--sasl-password-file",
        metavar="FILE",
        help=f"the password is its first line; without it the variable {PASSWORD_VARIABLE} is read",
    )
    group.add_argument("--sasl-password", metavar="TEXT", help="seen by everybody on this machine while it runs")
    group.add_argument("--ssl-ca", metavar="FILE", help="certificates to trust (PEM; default: the system's)")
    group.add_argument("--ssl-certificate", metavar="FILE", help="the client's own certificate (PEM)")
    group.add_argument(
        "--ssl-key", metavar="FILE", help=f"its key (PEM); its password is read from {KEY_PASSWORD_VARIABLE}"
    )
    parser.set_defaults(usage_error=parser.error)


def seconds(text: str) -> float:
    """For argparse: above 0, up to ten minutes."""
    number = float(text)
    if not 0 < number <= 600:
        raise ValueError(text)
    return number


seconds.__name__ = "number of seconds"  # argparse says "invalid … value"


def canonical(args: argparse.Namespace, environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The connection's settings by canonical name.

    Raises:
        UsageError: the options do not go together, or a password's file cannot be read.
    """
    protocol = args.security_protocol or _protocol(args)
    found = {"bootstrap.servers": args.bootstrap_servers, "security.protocol": protocol}
    if protocol.startswith("SASL"):
        found.update(_sasl(args, environ))
    elif args.sasl_username or args.sasl_mechanism:
        raise UsageError(f"a SASL option does not go with --security-protocol {protocol}")
    if protocol.endswith("SSL"):
        found.update(_ssl(args, environ))
    for name, value in found.items():
        if not _is_text(value or ""):
            raise UsageError(f"{name} has something in it that is no UTF-8")
    return found


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes of the command line; a library in C would crash
        return False
    return True


def _protocol(args: argparse.Namespace) -> str:
    # A password goes over TLS unless somebody says otherwise.
    if args.sasl_username or args.sasl_mechanism:
        return "SASL_SSL"
    return "SSL" if args.ssl_ca or args.ssl_certificate else "PLAINTEXT"


def _sasl(args: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    mechanism = args.sasl_mechanism or "PLAIN"
    if mechanism == "GSSAPI":
        return {"sasl.mechanism": mechanism}
    if not args.sasl_username:
        raise UsageError("--sasl-username is missing")
    password = args.sasl_password
    if password is None and args.sasl_password_file:
        password = (_text(args.sasl_password_file).splitlines() or [""])[0]
    if password is None:
        password = environ.get(PASSWORD_VARIABLE)
    if password is None:
        raise UsageError(f"the password is missing: --sasl-password-file FILE, or the variable {PASSWORD_VARIABLE}")
    return {"sasl.mechanism": mechanism, "sasl.username": args.sasl_username, "sasl.password": password}


def _ssl(args: argparse.Namespace, environ: Mapping[str, str]) -> dict[str, str]:
    files = {
        "ssl.ca.location": args.ssl_ca,
        "ssl.certificate.location": args.ssl_certificate,
        "ssl.key.location": args.ssl_key,
    }
    for file in files.values():
        if file:
            _text(file)
    found = {name: file for name, file in files.items() if file}
    if args.ssl_key and environ.get(KEY_PASSWORD_VARIABLE):
        found["ssl.key.password"] = environ[KEY_PASSWORD_VARIABLE]
    return found


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8") as opened:
            return opened.read()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not text'}") from None


def library(args: argparse.Namespace) -> str:
    """The library to connect with: the one asked for, else the first that is installed.

    Raises:
        NoLibrary: it is not there, or none is.
    """
    here = _libraries.installed()
    if args.library is not None:
        if args.library not in here:
            raise NoLibrary(f"{args.library} is not installed: {_libraries.pip_line(args.library)}")
        return str(args.library)
    if not here:
        raise NoLibrary(f"no Kafka library is installed: {_libraries.pip_line('confluent-kafka')}")
    return here[0]


def connection(name: str, settings: Mapping[str, str]) -> Connection:
    """How a library reaches the cluster of these canonical settings.

    Raises:
        UsageError: a certificate or key that is none.
    """
    try:
        return security.connection(name, security.from_canonical(name, settings))
    except OSError as error:  # ssl.SSLError is one
        raise UsageError(f"the certificates cannot be used: {getattr(error, 'reason', None) or error}") from None
