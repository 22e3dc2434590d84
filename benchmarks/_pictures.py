"""The pictures of docs/defaults.md, from the rows of results/sweep.json; each has a panel for each library."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks._design import CODECS, KINDS, Point
from benchmarks._harness import LIBRARIES
from benchmarks._svg import Line, Panel, chart

PICTURES = Path(__file__).resolve().parents[1] / "docs" / "pictures"
CALLED = {"json": "JSON events", "avro": "Avro-like", "log": "log lines", "compressed": "compressed already"}
Rows = Sequence[Mapping[str, Any]]


def draw(rows: Rows, folder: Path = PICTURES) -> list[Path]:
    """Write each picture for which something was measured; the files that were written."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, make in PAINTED.items():
        svg = make(rows)
        if svg:
            path = folder / f"{name}.svg"
            path.write_text(svg)
            written.append(path)
    return written


def bytes_by_linger(rows: Rows) -> str:
    """What waiting buys at a rate."""
    lines = [(f"{codec}, {rate:,}/s", codec, rate) for codec in ("zstd", "gzip-3") for rate in (200, 2000)]
    return _by_linger(rows, "Linger: bytes in the log ÷ bytes of the values (JSON events)", "raw", lines, False)


def wait_by_linger(rows: Rows) -> str:
    """What waiting costs a program that waits: why the agent lets awaited sends go at once."""
    lines = [(f"zstd, {rate:,}/s" if rate else "zstd, full speed", "zstd", rate) for rate in (200, 2000, 0)]
    return _by_linger(rows, "Linger: median wait for an awaited send, ms (bare library, JSON)", "waited", lines, True)


def bytes_by_batch(rows: Rows) -> str:
    """What fuller batches buy at full speed."""

    def panel(library: str) -> Panel:
        sizes = [*sorted({row["batch"] for row in rows if row["library"] == library and row["batch"]}), None]
        if library != "confluent-kafka":
            sizes.remove(None)
        mine = [row for row in _of(rows, library, "json", 0) if row["linger"] is None]
        lines = [
            Line(codec, [_only(mine, "raw", codec=codec, batch=size) for size in sizes]) for codec in ("gzip-3", "zstd")
        ]
        ticks = ["own, 1 MB" if size is None else f"{size} KiB" for size in sizes]
        return Panel(library, ticks, lines, "batch size, at full speed")

    return _chart("Batch size: bytes in the log ÷ bytes of the values (JSON events)", panel, "less is better")


def bytes_by_codec(rows: Rows) -> str:
    """What each codec makes of each kind of record."""
    lines = [(CALLED[kind], kind, 0, "raw") for kind in KINDS]
    return _by_codec(rows, "Codec: bytes in the log ÷ bytes of the values, full speed", lines, "less is better")


def speed_by_codec(rows: Rows) -> str:
    """What each codec costs of the top speed; the dotted line is the least that a default may leave."""
    lines = [(CALLED[kind], kind, 0, "rate_ratio") for kind in KINDS]
    title = "Codec: top speed ÷ that of the library's own settings"
    return _by_codec(rows, title, lines, "more is better; dotted: 0.95", rule=0.95)


def cpu_by_codec(rows: Rows) -> str:
    """What each codec costs the client at a rate and at full speed."""
    lines = [("2,000/s", "json", 2000, "cpu"), ("full speed", "json", 0, "cpu")]
    return _by_codec(rows, "Codec: CPU time of the client, µs a record (JSON events)", lines, "less is better")


PAINTED: dict[str, Callable[[Rows], str]] = {
    "bytes-by-linger": bytes_by_linger,
    "wait-by-linger": wait_by_linger,
    "bytes-by-batch": bytes_by_batch,
    "bytes-by-codec": bytes_by_codec,
    "speed-by-codec": speed_by_codec,
    "cpu-by-codec": cpu_by_codec,
}


def _by_linger(rows: Rows, title: str, figure: str, lines: list[tuple[str, str, int]], awaited: bool) -> str:
    def panel(library: str) -> Panel:
        found = []
        for name, codec, rate in lines:
            mine = [row for row in _of(rows, library, "json", rate, awaited) if row["codec"] == codec]
            found.append(Line(name, [_only(mine, figure, linger=linger) for linger in (0, 5, 20, 100)]))
        return Panel(library, ["0", "5", "20", "100"], found, "linger, ms")

    return _chart(title, panel, "less is better")


def _by_codec(
    rows: Rows, title: str, lines: list[tuple[str, str, int, str]], scale: str, rule: float | None = None
) -> str:
    def panel(library: str) -> Panel:
        codecs = [Point(codec, level).codec_name for codec, level in CODECS[library]]
        ticks = codecs if library != "confluent-kafka" else ["none", *codecs]
        size = None if library == "confluent-kafka" else 64
        found = []
        for name, kind, rate, figure in lines:
            mine = [row for row in _of(rows, library, kind, rate) if row["linger"] is None and row["batch"] == size]
            found.append(Line(name, [_only(mine, figure, codec=codec) for codec in ticks]))
        return Panel(library, ticks, found, f"codec, batches of {'its own 1 MB' if size is None else '64 KiB'}", False)

    return _chart(title, panel, scale, rule)


def _chart(title: str, panel: Callable[[str], Panel], scale: str, rule: float | None = None) -> str:
    panels = [panel(library) for library in LIBRARIES]
    drawn = any(value is not None for one in panels for line in one.lines for value in line.values)
    return chart(title, scale, panels, rule) if drawn else ""


def _of(rows: Rows, library: str, kind: str, rate: int, awaited: bool = False) -> list[Mapping[str, Any]]:
    """The rows of one group."""
    wanted = (library, kind, rate, awaited)
    return [row for row in rows if (row["library"], row["kind"], row["rate_asked"], row["awaited"]) == wanted]


def _only(rows: Rows, figure: str, **wanted: Any) -> float | None:
    """The figure of the row that has these values; None where there is none."""
    for row in rows:
        if all(row[name] == value for name, value in wanted.items()):
            return row[figure]
    return None
