"""Virtual environments with the project's wheel really installed, and clean subprocesses to run programs in them.

Made by uv, kept under the cache folder by what is in them, so that a second session finds them ready.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.servers.fixtures import missing_server
from tests.servers.kafka import ROOT, cache_folder

# The environment of a program whose first producer must be optimised: the agent's half second may pass as well.
PATIENT = {"SUPERSTREAM_METADATA_TIMEOUT_MS": "20000"}
# A program's last line where a test needs its last report: the agent's fifth of a second may pass on a busy machine.
PATIENT_EXIT = '\n__import__("sys").modules["superclient.agent.leaving"].PATIENCE = 10.0\n'
PYTHONS = ("3.10", "3.11", "3.12", "3.13")

# What a program may know of the test process. Everything else (PYTHON*, SUPERSTREAM_*, PYTEST_*, CI …) would change it.
_INHERITED = ("PATH", "HOME", "USER", "LANG", "LC_ALL", "TMPDIR", "SYSTEMROOT", "LD_LIBRARY_PATH")
_UNUSED_AFTER_DAYS = 3


# --- environments -----------------------------------------------------------------------------------------------------


def environment(
    python: str | None = None,
    packages: Sequence[str] = (),
    *,
    superclient: bool = True,
    extras: Sequence[str] = (),
    constrained: bool = True,
) -> Path:
    """The interpreter of an environment with exactly `packages`, and the project's wheel unless `superclient=False`.

    `python` is a minor version ("3.12"), by default the running one. Packages without a version take the one of
    constraints.txt; `constrained=False` leaves all of them to the resolver (for frameworks with bounds of their own).
    """
    base = interpreter(python or f"{sys.version_info.major}.{sys.version_info.minor}")
    return _environment(base, tuple(sorted(packages)), superclient, tuple(sorted(extras)), constrained)


@functools.cache
def _environment(
    base: Path, packages: tuple[str, ...], superclient: bool, extras: tuple[str, ...], constrained: bool
) -> Path:
    constraints = _constraints(packages) if constrained else ""
    project = wheel() if superclient else None
    key = "\n".join((str(base.resolve()), *packages, "", *extras, str(project), constraints))
    folder = cache_folder() / "environments" / hashlib.sha256(key.encode()).hexdigest()[:16]
    with _locked(folder):
        if not (folder / "complete").exists():
            shutil.rmtree(folder, ignore_errors=True)
            wanted = list(packages)
            if project is not None:
                wanted.append(f"superclient[{','.join(extras)}] @ {project.as_uri()}")
            _fill(folder, base, wanted, constraints, fresh=not constrained)
        (folder / "complete").touch()
    _remove_unused(folder.parent)
    return folder / "bin" / "python"


def _fill(folder: Path, base: Path, wanted: list[str], constraints: str, *, fresh: bool) -> None:
    _uv("venv", "-q", "--python", str(base), str(folder))
    if not wanted:
        return
    (folder / "constraints.txt").write_text(constraints)
    install = ["pip", "install", "-q", "--python", str(folder / "bin" / "python")]
    install += ["--constraint", str(folder / "constraints.txt"), *wanted]
    if not fresh:
        # What uv has it need not ask for; and what it has compiled it compiles anew where a registry tells it no date.
        with contextlib.suppress(RuntimeError):
            _uv("--offline", *install)
            return
    _uv(*install)


def _constraints(packages: Sequence[str]) -> str:
    """constraints.txt without the packages that the caller gives a version himself."""
    own = {_normal(re.split(r"[<>=!~\[; @]", package)[0]) for package in packages if re.search(r"[<>=!~@]", package)}
    lines = (ROOT / "constraints.txt").read_text().splitlines(keepends=True)
    return "".join(line for line in lines if _normal(line.partition("==")[0]) not in own)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower().strip()


def _remove_unused(folder: Path) -> None:
    """Each change of the project makes new environments; those that nobody used for days only fill the disk."""
    for old in folder.glob("*/complete"):
        if time.time() - old.stat().st_mtime > _UNUSED_AFTER_DAYS * 86400:
            shutil.rmtree(old.parent, ignore_errors=True)


@functools.cache
def wheel() -> Path:
    """The project's wheel, built from the tree as it is, once per session and state of the tree."""
    folder = cache_folder() / "wheels" / _source_hash()
    with _locked(folder):
        built = sorted(folder.glob("*.whl"))
        if not built:
            _uv("build", "-q", "--wheel", "--out-dir", str(folder), str(ROOT))
            built = sorted(folder.glob("*.whl"))
    return built[0]


def _source_hash() -> str:
    digest = hashlib.sha256()
    files = [path for path in (ROOT / "superclient").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    files += [
        path for path in ROOT.iterdir() if path.is_file() and path.suffix in {".toml", ".pth", ".start", ".py", ".md"}
    ]
    for path in sorted(files):
        digest.update(f"{path.relative_to(ROOT)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:16]


def _uv(*arguments: str) -> None:
    command = [sys.executable, "-m", "uv", "--no-progress", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"uv {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """One session at a time makes what belongs in `folder`."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# --- interpreters -----------------------------------------------------------------------------------------------------


def interpreter(version: str) -> Path:
    """CPython `version` ("3.12") on this machine; where there is none the test is skipped, or fails under CI."""
    found = find_interpreter(version)
    if found is None:
        missing_server(
            f"CPython {version} is not installed: `uv python install {version}` or `pyenv install {version}`"
        )
    assert found is not None
    return found


@functools.cache
def find_interpreter(version: str) -> Path | None:
    """The running one if it fits, else pyenv's newest, else what uv knows, else what is on PATH; never a download."""
    candidates = [getattr(sys, "_base_executable", sys.executable)]
    root = _output("pyenv", "root")
    if root:
        installed = Path(root, "versions").glob(f"{version}.*/bin/python")
        candidates += [str(path) for path in sorted(installed, key=_numbers, reverse=True)]
    candidates += [_output(sys.executable, "-m", "uv", "python", "find", "--no-python-downloads", version)]
    candidates += [shutil.which(f"python{version}") or ""]
    ask = "import sys; print('%d.%d' % sys.version_info[:2], end='')"
    for candidate in candidates:
        if candidate and _output(candidate, "-S", "-c", ask) == version:
            return Path(candidate)
    return None


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


# --- programs ---------------------------------------------------------------------------------------------------------


def clean_environment(env: Mapping[str, str] | None = None) -> dict[str, str]:
    """A program's environment: what every shell gives, and `env`; none of the test process's own variables."""
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, **(env or {})}


@contextlib.contextmanager
def start_program(
    python: Path,
    program: str | Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
    cwd: Path | None = None,
    merge_stderr: bool = False,
) -> Iterator[subprocess.Popen[str]]:
    """Runs `program` (source text, or a file) for the length of the block; afterwards its whole process group is ended.

    Source text becomes a file `program.py` in a folder of its own, so that tracebacks, `__main__` and multiprocessing
    are as in a real program. `options` are the interpreter's (`-X`, `-W`, `-S`).
    """
    with tempfile.TemporaryDirectory(prefix="superclient-program-") as folder:
        if isinstance(program, str):
            file = Path(folder, "program.py")
            file.write_text(textwrap.dedent(program))
        else:
            file = program
        process = subprocess.Popen(
            [str(python), *options, str(file), *args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT if merge_stderr else subprocess.PIPE,
            text=True,
            env=clean_environment(env),
            cwd=cwd or folder,
            start_new_session=True,
        )
        try:
            yield process
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    """The next lines that a started program prints, within a minute."""
    assert process.stdout is not None
    patience = threading.Timer(60, process.kill)
    patience.start()
    try:
        found = [process.stdout.readline().strip() for _ in range(count)]
    finally:
        patience.cancel()
    assert all(found), f"{found}\n{process.stderr.read() if process.stderr else ''}"
    return found


def run_program(
    python: Path,
    program: str | Path,
    *args: str,
    env: Mapping[str, str] | None = None,
    timeout: float = 60.0,
    options: Sequence[str] = (),
    cwd: Path | None = None,
) -> subprocess.CompletedProcess[str]:
    """Runs `program` to its end: stdout, stderr, returncode. A TimeoutError shows what it had said by then."""
    with start_program(python, program, *args, env=env, options=options, cwd=cwd) as process:
        try:
            stdout, stderr = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            stdout, stderr = process.communicate()
            said = f"stdout: {stdout}\nstderr: {stderr}"
            raise TimeoutError(f"the program did not end within {timeout} s\n{said}") from None
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)
