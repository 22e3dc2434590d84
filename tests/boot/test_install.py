"""Installing and uninstalling for real: pip and uv, from a wheel, an sdist and a checkout."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.environments import PYTHONS, interpreter, wheel
from tests.servers.kafka import ROOT

LOADED = "import sys; print(any(type(f).__module__ == 'superclient._boot' for f in sys.meta_path))"
SPARSE = {("3.10", "pip", "wheel"), ("3.12", "pip", "editable"), ("3.13", "uv", "sdist"), ("3.11", "uv", "editable")}
MATRIX = [
    pytest.param(*row, marks=() if row in SPARSE else pytest.mark.matrix_full)
    for row in ((v, i, s) for v in PYTHONS for i in ("pip", "uv") for s in ("wheel", "sdist", "editable"))
]


def call(*command: str | Path) -> str:
    env = {name: value for name, value in os.environ.items() if not name.startswith(("SUPERSTREAM_", "PYTHON"))}
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, env=env, timeout=110)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sdist")
    call(sys.executable, "-m", "uv", "build", "-q", "--sdist", "--out-dir", folder, ROOT)
    return next(folder.glob("*.tar.gz"))


def files(folder: Path) -> Iterator[str]:
    return (str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize(("version", "installer", "source"), MATRIX)
def test_install_and_uninstall(version: str, installer: str, source: str, sdist: Path, tmp_path: Path) -> None:
    """AGT-1: installing alone loads the agent; uninstalling leaves no file and the interpreter as it was."""
    uv = [sys.executable, "-m", "uv", "-q"]
    call(*uv, "venv", "--python", interpreter(version), *(["--seed"] if installer == "pip" else []), tmp_path / "env")
    python, site = tmp_path / "env/bin/python", next((tmp_path / "env/lib").glob("python3*/site-packages"))
    quiet = [python, "-m", "pip", "-q", "--disable-pip-version-check"]
    pip = quiet if installer == "pip" else [*uv, "pip"]
    aimed = [] if installer == "pip" else ["--python", python]
    call(*pip, "install", *aimed, "wrapt")
    call(python, "-c", "pass")
    before = {name for name in files(site) if "__pycache__" not in name}

    what = {"wheel": [wheel()], "sdist": [sdist], "editable": ["-e", ROOT]}[source]
    call(*pip, "install", *aimed, *what)
    assert call(python, "-c", LOADED) == "True\n"
    record = next(site.glob("superclient-*.dist-info/RECORD")).read_text()
    for name in ("superclient.pth", "superclient.start"):
        assert f"\n{name},sha256=" in f"\n{record}"
        assert (site / name).is_file()

    call(*pip, "uninstall", *(["-y"] if installer == "pip" else []), *aimed, "superclient")
    assert {name for name in files(site) if "__pycache__" not in name} == before
    assert not any(path.name.lower().find("superclient") >= 0 for path in site.rglob("*"))
    assert call(python, "-c", "pass") == ""
    assert call(python, "-c", LOADED) == "False\n"


def test_wheel_contents() -> None:
    """AGT-1, AGT-2, AGT-9: both start files at the root, after the package; one constant line each; no more."""
    with zipfile.ZipFile(wheel()) as archive:
        names = archive.namelist()
        line = archive.read("superclient.pth").decode()
        assert line.startswith("import superclient._boot")
        assert line.count("\n") == 1
        assert line.endswith("\n")
        assert ";" not in line.partition("#")[0]
        assert archive.read("superclient.start") == b"superclient._boot:activate\n"
    assert "sitecustomize.py" not in names
    assert "superclient/_site/sitecustomize.py" in names
    assert [name for name in names if name.startswith("superclient/_site/")] == ["superclient/_site/sitecustomize.py"]
    assert "superclient/py.typed" in names
    # Amid an installation a Python may start: it must not find the line without the package.
    assert names.index("superclient.pth") > max(names.index(name) for name in names if name.startswith("superclient/"))


def test_start_entry_point() -> None:
    """AGT-1: what superclient.start names (PEP 829) resolves to a callable without arguments."""
    import pkgutil

    assert pkgutil.resolve_name((ROOT / "superclient.start").read_text().strip())() is None


def test_pyinstaller_entry_point() -> None:
    """AGT-2: the PyInstaller entry point names a folder with the hook for superclient."""
    with zipfile.ZipFile(wheel()) as archive:
        entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "hook-dirs = superclient._pyinstaller:hook_dirs" in archive.read(entry_points).decode()
    from superclient._pyinstaller import hook_dirs

    assert Path(hook_dirs()[0], "hook-superclient.py").is_file()
