"""`superclient doctor`: one screen on whether the agent is loaded, what it finds here, and what it can reach.

Our own commands keep the agent out of their process, so what a program would see is asked of child interpreters. The
exit status is 0 where all is well, 1 where a line says FAIL, 2 for wrong options.
"""

import argparse
import concurrent.futures
import difflib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import superclient
from superclient import _boot, redact, settings
from superclient.cli import _cluster, _connect, _control, _libraries
from superclient.cli._findings import Finding, Level, Sections, problems, screen

_EPILOG = f"""\
examples:
  superclient doctor
  superclient doctor --bootstrap-servers kafka-1:9092,kafka-2:9092
  {_connect.PASSWORD_VARIABLE}=... superclient doctor --bootstrap-servers kafka-1:9093 \\
      --sasl-mechanism SCRAM-SHA-256 --sasl-username app --ssl-ca ca.pem
  superclient doctor --json | jq .ok
"""
_CHILD_SECONDS = 30
_RUN = "run the program by `superclient run CMD...`, or put `import superclient` first in it"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command; without a cluster it looks at this Python alone."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a screen")
    _connect.add_arguments(parser, required=False)


def run(args: argparse.Namespace) -> int:
    """Look at everything, print it, and say by the exit status whether all is well."""
    try:
        canonical = _connect.canonical(args) if args.bootstrap_servers else {}
        sections = _look(args, canonical)
    except _connect.UsageError as error:
        args.usage_error(str(error))
        raise  # not reached: argparse ends the process
    number = problems(sections)
    if args.json:
        print(json.dumps(_document(sections), indent=2))
    else:
        # Where nothing limits the agent, the settings have said so.
        shown = {name: found for name, found in sections.items() if name != "Control" or len(found) > 1}
        print(screen(f"superclient {superclient.__version__}", shown))
    return 1 if number else 0


def _document(sections: Sections) -> dict[str, object]:
    found: dict[str, object] = {"ok": problems(sections) == 0, "version": superclient.__version__}
    return {**found, **{name.lower(): [each.document() for each in findings] for name, findings in sections.items()}}


def _look(args: argparse.Namespace, canonical: Mapping[str, str]) -> dict[str, list[Finding]]:
    commands = [[], *([library.name, library.hooked] for library in _libraries.LIBRARIES)]
    here = _libraries.installed()
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        waiting = [pool.submit(_ask, command) for command in commands if not command or command[0] in here]
        answers = dict(zip(["", *(name for name in _libraries.NAMES if name in here)], waiting, strict=True))
        sections = {
            "Agent": _agent(*answers[""].result()),
            "Libraries": [
                finding
                for name in _libraries.NAMES
                for finding in (_library(name, *answers[name].result()) if name in answers else [_absent(name)])
            ],
        }
    if not here:
        text = "no Kafka library is installed: there is nothing for the agent to do"
        sections["Libraries"].append(Finding("any", Level.PROBLEM, text, _libraries.pip_line("confluent-kafka")))
    sections["Settings"] = _settings(os.environ)
    sections["Control"] = _control.examine(os.environ)
    if canonical:
        sections["Cluster"] = _reach(args, canonical)
    return sections


def _ask(arguments: list[str]) -> tuple[dict[str, Any], list[str]]:
    """What a child interpreter answers, and the agent's warnings on its stderr."""
    probe = Path(__file__).with_name("_probe.py")
    # Not `python FILE`: that would put this folder on the child's path, where a program's is another.
    code = f"import runpy; runpy.run_path({str(probe)!r}, run_name='__main__')"
    command = [sys.executable, "-c", code, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_CHILD_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return {"error": f"a Python that imports it does not end within {_CHILD_SECONDS} s"}, []
    warnings = [line for line in done.stderr.splitlines() if line.startswith("[superstream] WARNING ")]
    try:
        answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    except (ValueError, IndexError):
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        answer = {"error": f"a Python that imports it ended: {last[:200]}"}
    return answer, warnings


def _agent(seen: Mapping[str, Any], warnings: list[str]) -> list[Finding]:
    if "finder" not in seen:
        return [Finding("loaded", Level.PROBLEM, f"a child Python could not be asked: {seen.get('error', '')}")]
    ways = ["superclient.pth in site-packages"] if seen["pth"] else []
    ways += ["PYTHONPATH"] if seen["pythonpath"] else []
    facts = {"loaded": seen["finder"], "ways": ways, "package": seen["package"]}
    by = " and ".join(ways)
    if seen["finder"]:
        loaded = Finding(
            "loaded", Level.OK, f"at interpreter start, by {by or 'an entry of the interpreter'}", "", facts
        )
    elif _boot.disabled():
        text = f"switched off by SUPERSTREAM_DISABLED{f' (else it would be, by {by})' if by else ''}"
        loaded = Finding("loaded", Level.PROBLEM, text, "unset SUPERSTREAM_DISABLED", facts)
    elif ways:
        loaded = Finding(
            "loaded", Level.PROBLEM, f"no, although there is {by}", "pip install --force-reinstall superclient", facts
        )
    else:
        text = "no: neither superclient.pth in site-packages nor an entry of PYTHONPATH"
        loaded = Finding("loaded", Level.PROBLEM, text, _RUN, facts)
    python = Finding("python", Level.OK, f"{seen['python']} {sys.executable}", facts={"version": seen["python"]})
    findings = [loaded, python, _wrapt(seen["wrapt"])]
    return findings + [Finding("warning", Level.HINT, line) for line in warnings]


def _wrapt(version: str) -> Finding:
    if version:
        return Finding("wrapt", Level.OK, version, facts={"version": version})
    return Finding("wrapt", Level.PROBLEM, "is not installed, and the agent needs it", "pip install wrapt")


def _absent(name: str) -> Finding:
    text = f"not installed ({_libraries.pip_line(name)})"
    return Finding(name, Level.INFO, text, facts={"version": None, "patched": False, "codecs": [], "missing": []})


def _library(name: str, seen: Mapping[str, Any], warnings: list[str]) -> list[Finding]:
    if seen.get("error"):
        return [Finding(name, Level.PROBLEM, f"does not work: {seen['error']}")]
    missing = [codec for codec in ("gzip", "snappy", "lz4", "zstd") if codec not in seen["codecs"]]
    off: dict[str, str] = dict(seen["features_off"])
    facts = {"version": seen["version"], "patched": seen["patched"], "codecs": seen["codecs"], "missing": missing}
    facts["features_off"] = off
    level, state = _patched(name, seen)
    text = f"{seen['version']}, {state}; codecs {', '.join(seen['codecs'])}"
    findings = [Finding(name, level, text, facts=facts)]
    packages = list(dict.fromkeys(_libraries.codec_package(name, seen["version"], codec) for codec in missing))
    if missing:
        line = f"pip install {' '.join(packages)}" if all(packages) else "a wheel of confluent-kafka has them all"
        text = f"cannot compress with {', '.join(missing)}: recommendations for them are refused"
        findings.append(Finding(name, Level.HINT, text, line))
    if seen.get("crc32c") is False:
        findings.append(
            Finding(name, Level.HINT, "computes checksums in Python: crc32c makes it faster", "pip install crc32c")
        )
    findings += [Finding(name, Level.HINT, f"{feature} is off: {why}") for feature, why in off.items()]
    others = [line for line in warnings if name in line and not any(why in line for why in off.values())]
    return findings + [Finding(name, Level.HINT, line.partition(": ")[2]) for line in others]


def _patched(name: str, seen: Mapping[str, Any]) -> tuple[Level, str]:
    if _boot.disabled():
        return Level.INFO, "not patched (SUPERSTREAM_DISABLED)"
    if name in settings.read(os.environ)[0].disabled_libraries:
        return Level.INFO, "left alone (SUPERSTREAM_DISABLED_LIBRARIES)"
    if seen["patched"]:
        return Level.OK, "patched"
    return Level.PROBLEM, f"not patched{': ' if seen['patch_error'] else ''}{seen['patch_error']}"


def _settings(environ: Mapping[str, str]) -> list[Finding]:
    detected = settings.detected(environ)
    values, malformed = settings.read(environ)
    problem = {str(error).partition("=")[0]: str(error) for error in malformed}
    known = {variable.name: variable for variable in settings.VARIABLES}
    findings = []
    for name in detected:
        if name in problem:
            findings.append(Finding(name, Level.PROBLEM, problem[name].partition("=")[2], facts={"value": None}))
        elif name in known:
            value = redact.masked(name, getattr(values, known[name].attribute))
            findings.append(Finding(name, Level.OK, _shown(value), facts={"value": value}))
        else:
            near = difflib.get_close_matches(name, known, 1)
            text = f"is no setting{f'; {near[0]} is' if near else ''}"
            findings.append(Finding(name, Level.HINT, text, facts={"value": None}))
    return findings or [Finding("SUPERSTREAM_*", Level.OK, "none is set: the defaults hold")]


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def _reach(args: argparse.Namespace, canonical: Mapping[str, str]) -> list[Finding]:
    try:
        connection = _connect.connection(_connect.library(args), canonical)
    except _connect.NoLibrary as error:
        return [Finding("cluster", Level.PROBLEM, str(error))]
    return _cluster.examine(connection, canonical, args.timeout)
