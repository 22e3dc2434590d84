"""The commands tell in one line what went wrong; what the toolkit logs of it on the way would be a second one."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from superclient.cli._session import Session


@contextlib.contextmanager
def quiet(session: Session) -> Iterator[None]:
    """No warnings or errors in the toolkit's log in here, but for -v."""
    toolkit = logging.getLogger("superclient.toolkit")
    before = toolkit.level
    if not session.verbose:
        toolkit.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        toolkit.setLevel(before)
