"""Log lines: stderr, one prefix, once per cause, stepping back for the program's own logging: AGT-50."""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator

import pytest

from superclient.agent import log
from superclient.agent.guard import fail_open, guarded


class Stderr:
    """All that was said on stderr during a test; pytest puts its own stream there anew for each phase."""

    def __init__(self, captured: pytest.CaptureFixture[str]) -> None:
        self._captured, self._text = captured, ""

    def getvalue(self) -> str:
        """The text so far."""
        self._text += self._captured.readouterr().err
        return self._text


@pytest.fixture
def stderr(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Stderr]:
    """What a process without any logging configuration says on stderr."""
    monkeypatch.setattr(log, "_said", set())
    log.configure(debug=False)
    yield Stderr(capsys)
    log.LOGGER.handlers = []


def unconfigured() -> None:
    """pytest adds handlers to the root logger and to ours for each test's call; most programs have none there."""
    logging.getLogger().handlers.clear()
    log.LOGGER.handlers[:] = [log._handler]


def test_lines_have_one_form(stderr: Stderr) -> None:
    """AGT-50: `[superstream] LEVEL component: message`; decisions are shown at debug level alone."""
    unconfigured()
    log.info("agent", "hello")
    log.debug("optimizer", "a decision")
    assert stderr.getvalue() == "[superstream] INFO agent: hello\n"
    log.configure(debug=True)
    log.debug("optimizer", "a decision")
    assert stderr.getvalue().endswith("[superstream] DEBUG optimizer: a decision\n")


def test_a_warning_comes_once_per_cause(stderr: Stderr) -> None:
    """AGT-50: the same cause is said once, another one again."""
    unconfigured()
    for cause in ("x", "x", "y"):
        log.warn_once("reports", cause, f"because of {cause}")
    assert stderr.getvalue().count("because of x") == 1
    assert stderr.getvalue().count("because of y") == 1


def test_ours_steps_back_for_the_programs_logging(stderr: Stderr) -> None:
    """AGT-50: once the root logger, or ours, is configured, the program's handlers have the lines, not stderr."""
    unconfigured()
    for logger in (logging.getLogger(), log.LOGGER):
        theirs = io.StringIO()
        handler = logging.StreamHandler(theirs)
        logger.addHandler(handler)
        before = logging.getLogger().level
        logging.getLogger().setLevel(logging.INFO)
        log.info("agent", "to whom it may concern")
        logging.getLogger().setLevel(before)
        logger.removeHandler(handler)
        assert theirs.getvalue() == "agent: to whom it may concern\n"
    assert stderr.getvalue() == ""


@pytest.mark.parametrize(("own", "shown"), [(None, ["trouble"]), (logging.INFO, ["news", "trouble"])])
def test_the_programs_level_holds(stderr: Stderr, own: int | None, shown: list[str]) -> None:
    """AGT-50: a program that logs warnings alone has ours alone, unless it asks our logger for more."""
    unconfigured()
    root, theirs = logging.getLogger(), io.StringIO()
    handler, before = logging.StreamHandler(theirs), (root.level, log.LOGGER.level)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)
    if own is not None:
        log.LOGGER.setLevel(own)
    try:
        log.info("agent", "news")
        log.warn_once("agent", "a cause", "trouble")
    finally:
        root.removeHandler(handler)
        root.setLevel(before[0])
        log.LOGGER.setLevel(before[1])
    assert theirs.getvalue() == "".join(f"agent: {line}\n" for line in shown)
    assert stderr.getvalue() == ""


def test_a_closed_stderr_swallows_the_line(stderr: Stderr, monkeypatch: pytest.MonkeyPatch) -> None:
    """AGT-28, AGT-50: nothing here can raise."""
    unconfigured()
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    log.info("agent", "nobody hears")
    monkeypatch.setattr(sys, "stderr", None)
    log.info("agent", "nobody hears")


def test_guards_let_exits_through_and_nothing_else(stderr: Stderr) -> None:
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
