"""What `superclient doctor` found, and how it is shown: one line each on a plain screen, or JSON."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum

_INDENT = "  "


class Level(str, Enum):
    """How much a finding matters; PROBLEM alone makes the command fail."""

    OK = "ok"
    INFO = "info"
    HINT = "hint"
    PROBLEM = "problem"


_MARKS = {Level.OK: "ok", Level.INFO: "-", Level.HINT: "hint", Level.PROBLEM: "FAIL"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the screen.

    Attributes:
        name: what was looked at.
        level: how it is.
        text: what was seen, in a phrase.
        fix: the command or change that mends it, or "".
        facts: the same for programs.
    """

    name: str
    level: Level
    text: str
    fix: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)

    def document(self) -> dict[str, object]:
        """The finding as JSON has it."""
        return {"name": self.name, "level": self.level.value, "text": self.text, "fix": self.fix, **self.facts}


Sections = Mapping[str, Sequence[Finding]]


def problems(sections: Sections) -> int:
    """How many findings make the command fail."""
    return sum(finding.level is Level.PROBLEM for findings in sections.values() for finding in findings)


def screen(title: str, sections: Sections) -> str:
    """The whole screen as text."""
    lines = [title]
    width = max((len(finding.name) for findings in sections.values() for finding in findings), default=0)
    for section, findings in sections.items():
        lines += ["", section]
        for finding in findings:
            lines.append(f"{_INDENT}{_MARKS[finding.level]:<4}  {finding.name:<{width}}  {finding.text}".rstrip())
            if finding.fix:
                lines.append(f"{_INDENT}{'':<4}  {'':<{width}}  -> {finding.fix}")
    number = problems(sections)
    verdict = "All is well." if not number else f"{number} problem{'s' * (number > 1)}: the lines marked FAIL."
    return "\n".join([*lines, "", verdict])
