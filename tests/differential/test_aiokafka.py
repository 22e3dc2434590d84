"""Unchanged programs that use aiokafka."""

import pytest

from tests.differential.conftest import Compare
from tests.differential.program import Program, programs


@pytest.mark.parametrize("program", programs("aiokafka"), ids=lambda program: program.path.stem)
def test_program_cannot_tell(program: Program, differ: Compare) -> None:
    """TST-5, AGT-20: output, exit status, exceptions and records are those of the bare library."""
    found = differ(program).differences()

    if found:
        pytest.fail("\n".join(found), pytrace=False)
