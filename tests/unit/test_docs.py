"""The documents tell the truth: every setting is listed, every snippet of the README runs, every link leads somewhere.

`python -m tests.unit.test_docs --update` writes the tables of settings anew.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

from superclient.settings import VARIABLES, default_text

ROOT = Path(__file__).resolve().parents[2]
WITH_SETTINGS = ("README.md", "docs/settings.md")
MARKS = re.compile(r"(<!-- settings: .*? -->\n).*?(<!-- /settings -->)", re.DOTALL)


def with_table(text: str) -> str:
    """The document with its table of settings as the code has it."""
    rows = "".join(f"| `{one.name}` | {default_text(one)} | {one.meaning} |\n" for one in VARIABLES)
    # The rows must follow the table's head directly; the marks stand around head and rows.
    return MARKS.sub(lambda found: found.group(1) + HEAD + rows + found.group(2), text)


HEAD = "| variable | default | meaning |\n|---|---|---|\n"


@pytest.mark.parametrize("name", WITH_SETTINGS)
def test_every_setting_is_documented(name: str) -> None:
    """The tables of settings are those of the code, to the letter."""
    text = (ROOT / name).read_text()
    assert MARKS.search(text)
    assert text == with_table(text)


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A relative link of a document names a file that is there."""
    for target in re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_the_changelog_names_every_setting() -> None:
    """What a user can notice has its line."""
    text = (ROOT / "CHANGELOG.md").read_text()
    assert [one.name for one in VARIABLES if one.name not in text] == []


if __name__ == "__main__" and "--update" in sys.argv:
    for document in WITH_SETTINGS:
        path = ROOT / document
        path.write_text(with_table(path.read_text()))
