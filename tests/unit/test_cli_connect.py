"""The options by which commands reach a cluster."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from superclient.cli import _connect


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    _connect.add_arguments(parser, required=True)
    return parser.parse_args(["--bootstrap-servers", "kafka:9092", *words])


def test_plain_by_default():
    """AGT-51: an address alone is a plain connection."""
    expected = {"bootstrap.servers": "kafka:9092", "security.protocol": "PLAINTEXT"}
    assert _connect.canonical(options(), {}) == expected


def test_a_password_goes_over_tls():
    """AGT-51: a user without a protocol means SASL_SSL with PLAIN; the password comes from the environment."""
    found = _connect.canonical(options("--sasl-username", "app"), {_connect.PASSWORD_VARIABLE: "secret"})
    assert found["security.protocol"] == "SASL_SSL"
    assert (found["sasl.mechanism"], found["sasl.password"]) == ("PLAIN", "secret")


def test_where_the_password_comes_from(tmp_path: Path):
    """AGT-51: the option wins over the file, the file over the environment; only the file's first line counts."""
    file = tmp_path / "password"
    file.write_text("of the file\nand more\n")
    environ = {_connect.PASSWORD_VARIABLE: "of the environment"}
    words = ["--sasl-username", "app", "--sasl-password-file", str(file)]
    assert _connect.canonical(options(*words), environ)["sasl.password"] == "of the file"
    assert _connect.canonical(options(*words, "--sasl-password", "typed"), environ)["sasl.password"] == "typed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sasl-username", "app"], "the password is missing"),
        (["--sasl-mechanism", "scram-sha-256"], "--sasl-username is missing"),
        (["--sasl-username", "app", "--security-protocol", "ssl"], "does not go with"),
        (["--ssl-ca", "no/such/file"], "cannot be read"),
    ],
)
def test_what_does_not_go_together(words: list[str], message: str):
    """AGT-51: options that do not go together are named."""
    with pytest.raises(_connect.UsageError, match=message):
        _connect.canonical(options(*words), {})
