"""Log lines: stderr, one prefix, once per cause, stepping back for the program's own logging: AGT-50."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from superclient.agent import log
from superclient.agent.guard import fail_open, guarded


@pytest.fixture
def stderr(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """A process without any logging configuration, and what it says on stderr."""
    text = io.StringIO()
    monkeypatch.setattr(sys, "stderr", text)
    monkeypatch.setattr(log, "_said", set())
    log.configure(debug=False)
    yield text
    logging.getLogger().handlers = []
    log.LOGGER.handlers = []


def unconfigured() -> None:
    """pytest configures the root logger for each test's call; a program that configures nothing has it empty."""
    logging.getLogger().handlers.clear()


def test_lines_have_one_form(stderr: io.StringIO) -> None:
    """AGT-50: `[superstream] LEVEL component: message`; decisions are shown at debug level alone."""
    unconfigured()
    log.info("agent", "hello")
    log.debug("optimizer", "a decision")
    assert stderr.getvalue() == "[superstream] INFO agent: hello\n"
    log.configure(debug=True)
    log.debug("optimizer", "a decision")
    assert stderr.getvalue().endswith("[superstream] DEBUG optimizer: a decision\n")


def test_a_warning_comes_once_per_cause(stderr: io.StringIO) -> None:
    """AGT-50: the same cause is said once, another one again."""
    unconfigured()
    for cause in ("x", "x", "y"):
        log.warn_once("reports", cause, f"because of {cause}")
    assert stderr.getvalue().count("because of x") == 1
    assert stderr.getvalue().count("because of y") == 1


def test_ours_steps_back_for_the_programs_logging(stderr: io.StringIO) -> None:
    """AGT-50: once the root logger, or ours, is configured, the program's handlers have the lines and stderr has none."""
    unconfigured()
    for logger in (logging.getLogger(), log.LOGGER):
        theirs = io.StringIO()
        handler = logging.StreamHandler(theirs)
        logger.addHandler(handler)
        log.info("agent", "to whom it may concern")
        logger.removeHandler(handler)
        assert theirs.getvalue() == "agent: to whom it may concern\n"
    assert stderr.getvalue() == ""


def test_a_closed_stderr_swallows_the_line(stderr: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """AGT-28, AGT-50: nothing here can raise."""
    unconfigured()
    stderr.close()
    log.info("agent", "nobody hears")
    monkeypatch.setattr(sys, "stderr", None)
    log.info("agent", "nobody hears")


def test_guards_let_exits_through_and_nothing_else(stderr: io.StringIO) -> None:
    """AGT-7: an Exception is said once and swallowed; KeyboardInterrupt and SystemExit pass."""
    unconfigured()

    @fail_open("optimizer", "planning")
    def plan(error: BaseException) -> int:
        raise error

    assert plan(ValueError("x")) is None
    assert plan(ValueError("y")) is None
    assert stderr.getvalue().count("planning failed (ValueError)") == 1
    for exit_ in (KeyboardInterrupt, SystemExit):
        with pytest.raises(exit_):
            plan(exit_())
        with pytest.raises(exit_), guarded("x", "y"):
            raise exit_
