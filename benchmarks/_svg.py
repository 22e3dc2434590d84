"""Line charts side by side as one small SVG, readable in light and dark, without a plotting library; pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 270, 200  # of a panel's plot
LEFT, TOP, GAP, BELOW = 48, 68, 44, 66
LETTER, ROW = 6.3, 18  # about the width of a letter, and the height of a line of the legend
STYLE = """
svg { --ink: #24292f; --faint: #d0d7de; --c0: #0969da; --c1: #bc4c00; --c2: #1a7f37; --c3: #8250df; --c4: #9a6700; }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6edf3; --faint: #444c56; --c0: #58a6ff; --c1: #ff9a5c; --c2: #56d364; --c3: #d2a8ff; --c4: #e3b341; }
}
text { font: 11px system-ui, sans-serif; fill: var(--ink); }
.title { font-size: 14px; font-weight: 600; }
.panel { font-size: 12px; font-weight: 600; }
.grid { stroke: var(--faint); stroke-width: 1; }
.rule { stroke: var(--ink); stroke-width: 1; stroke-dasharray: 2 3; }
.line { fill: none; stroke-width: 2; }
"""
DASHES = ("", "6 3", "2 2", "8 3 2 3", "1 3")
COLOURS = 5


@dataclass(frozen=True)
class Line:
    """One curve: a value for each tick of its panel, None where nothing was measured."""

    name: str
    values: Sequence[float | None]


@dataclass(frozen=True)
class Panel:
    """One plot; its ticks stand at equal distances, whatever they say, and each has its line's value.

    Lines join what has an order; each value has its dot unless there are too many.
    """

    title: str
    ticks: Sequence[str]
    lines: Sequence[Line]
    foot: str = ""
    joined: bool = True
    dotted: bool = True


def chart(title: str, scale: str, panels: Sequence[Panel], rule: float | None = None, least: float = 0.0) -> str:
    """An SVG document: the panels share one vertical scale, called `scale`, from 0 to the largest value (or `least`).

    `rule` is a value that a dotted line marks in every panel. A line looks the same in all panels, by its name.
    """
    drawn = [line for panel in panels for line in panel.lines if any(value is not None for value in line.values)]
    names = list(dict.fromkeys(line.name for line in drawn))
    values = [value for line in drawn for value in line.values if value is not None]
    top, step = _scale(max([*values, rule or 0.0, least]))
    width = LEFT + len(panels) * (WIDTH + GAP)
    legend, rows = _legend(names, width)
    height = TOP + HEIGHT + BELOW + rows * ROW
    parts = [f'<text class="title" x="{LEFT}" y="18">{escape(title)}</text>']
    parts.append(f'<text x="{LEFT}" y="34">{escape(scale)}</text>')
    for number, panel in enumerate(panels):
        parts += _panel(panel, LEFT + number * (WIDTH + GAP), top, step, rule, names)
    box = f'viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}"'
    inside = "\n".join([f"<style>{STYLE}</style>", *parts, *legend])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {box}>\n{inside}\n</svg>\n'


def _scale(largest: float) -> tuple[float, float]:
    """The top of the scale and the distance of its lines, three to six of them, at round numbers."""
    step = 1e-6
    while True:
        for factor in (1, 2, 5):
            if step * factor * 6 >= largest:
                count = -(-largest // (step * factor))
                return step * factor * max(1, count), step * factor
        step *= 10


def _panel(panel: Panel, x: float, top: float, step: float, rule: float | None, names: list[str]) -> list[str]:
    def across(index: int) -> float:
        return round(x + WIDTH * (index + 0.5) / len(panel.ticks), 1)

    def down(value: float) -> float:
        return round(TOP + HEIGHT * (1 - value / top), 1)

    parts = [f'<text class="panel" x="{x}" y="{TOP - 8}">{escape(panel.title)}</text>']
    for number in range(round(top / step) + 1):
        y = down(number * step)
        parts.append(f'<line class="grid" x1="{x}" y1="{y}" x2="{x + WIDTH}" y2="{y}"/>')
        parts.append(f'<text x="{x - 5}" y="{y + 4}" text-anchor="end">{number * step:.4g}</text>')
    for index, tick in enumerate(panel.ticks):
        if not tick:
            continue
        # Many ticks stand on two levels, so that their names do not run into each other.
        lower = 12 if all(panel.ticks) and len(panel.ticks) > 6 and index % 2 else 0
        y = TOP + HEIGHT + 15 + lower
        parts.append(f'<text x="{across(index)}" y="{y}" text-anchor="middle">{escape(tick)}</text>')
    parts.append(f'<text x="{x + WIDTH / 2}" y="{TOP + HEIGHT + 44}" text-anchor="middle">{escape(panel.foot)}</text>')
    if rule is not None:
        parts.append(f'<line class="rule" x1="{x}" y1="{down(rule)}" x2="{x + WIDTH}" y2="{down(rule)}"/>')
    for line in panel.lines:
        points = [(across(index), down(value)) for index, value in enumerate(line.values) if value is not None]
        if points:
            parts += _line(points, names.index(line.name), panel)
    return parts


def _line(points: Sequence[tuple[float, float]], number: int, panel: Panel) -> list[str]:
    colour, dash = _look(number)
    dots = [f'<circle cx="{x}" cy="{y}" r="3.5" style="fill:{colour}"/>' for x, y in points if panel.dotted]
    if not panel.joined:
        return dots
    path = " ".join(f"{x},{y}" for x, y in points)
    return [f'<polyline class="line" style="stroke:{colour};stroke-dasharray:{dash}" points="{path}"/>', *dots]


def _look(number: int) -> tuple[str, str]:
    return f"var(--c{number % COLOURS})", DASHES[number // COLOURS % len(DASHES)] or "none"


def _legend(names: Sequence[str], width: float) -> tuple[list[str], int]:
    """The parts, and on how many rows they stand."""
    parts, x, row = [], float(LEFT), 0
    for number, name in enumerate(names):
        wide = 34 + len(name) * LETTER
        if x + wide > width and x > LEFT:
            x, row = float(LEFT), row + 1
        y = TOP + HEIGHT + BELOW + row * ROW - 2
        colour, dash = _look(number)
        style = f"stroke:{colour};stroke-dasharray:{dash}"
        parts.append(f'<line class="line" style="{style}" x1="{x:g}" y1="{y - 4}" x2="{x + 20:g}" y2="{y - 4}"/>')
        parts.append(f'<circle cx="{x + 10:g}" cy="{y - 4}" r="3.5" style="fill:{colour}"/>')
        parts.append(f'<text x="{x + 25:g}" y="{y}">{escape(name)}</text>')
        x += wide + 8
    return parts, row + 1
