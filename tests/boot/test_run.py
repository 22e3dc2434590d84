"""`superclient run`, the sitecustomize entry, and our own commands, in which the agent stays out."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.boot.conftest import write
from tests.environments import clean_environment, environment, find_interpreter
from tests.servers.kafka import ROOT

LOADED = "import sys; print(any(type(f).__module__ == 'superclient._boot' for f in sys.meta_path))"
ENTRY = ROOT / "superclient" / "_site"


def call(*command: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, env=clean_environment(env), timeout=60)


@pytest.fixture(scope="session")
def command(python: Path) -> Path:
    return python.parent / "superclient"


def test_run_activates(command: Path, bare_python: Path, tmp_path: Path) -> None:
    """AGT-2: the entry's folder comes first on PYTHONPATH, the rest of it stays, and the child has the agent."""
    python = command.parent / "python"
    shown = call(
        command, "run", python, "-c", "import os; print(os.environ['PYTHONPATH'])", env={"PYTHONPATH": "/a:/b"}
    )
    assert shown.stdout.strip().endswith("/superclient/_site:/a:/b")
    assert shown.stderr == ""
    assert call(command, "run", python, "-c", LOADED).stdout == "True\n"
    # The entry alone, without the .pth: a folder made by `pip install --target` on PYTHONPATH.
    env = {"PYTHONPATH": str(ENTRY)}
    assert call(bare_python, "-c", LOADED, env=env).stdout == "True\n"
    env = {"PYTHONPATH": str(ROOT)}
    assert call(bare_python, "-c", LOADED, env=env).stdout == "True\n"


def test_entry_shows_nothing_of_itself(bare_python: Path) -> None:
    """AGT-2: where it shadows no sitecustomize there is none afterwards, and nothing else of ours is imported."""
    show = "import sys; print('sitecustomize' in sys.modules, *[m for m in sorted(sys.modules) if 'superclient' in m])"
    done = call(bare_python, "-c", show, env={"PYTHONPATH": str(ENTRY)})
    assert (done.stdout, done.stderr) == ("False superclient superclient._boot\n", "")


@pytest.mark.parametrize("entry", [ENTRY, ROOT])
def test_entry_chains(bare_python: Path, tmp_path: Path, entry: Path) -> None:
    """AGT-2: the shadowed sitecustomize runs, once, is the one in sys.modules, and its changes and errors stay."""
    write(tmp_path, "sitecustomize.py", "import sys\nprint('own')\nsys.path.append('/added')\nmark = 1")
    env = {"PYTHONPATH": f"{entry}{os.pathsep}{tmp_path}"}
    show = "import sitecustomize, sys; print(sitecustomize.mark, '/added' in sys.path, sitecustomize.__file__)"
    done = call(bare_python, "-c", f"{show}; {LOADED}", env=env)
    assert done.stdout == f"own\n1 True {tmp_path}/sitecustomize.py\nTrue\n"
    assert done.stderr == ""
    write(tmp_path, "sitecustomize.py", "raise ValueError('own error')")
    with_us, without = (
        call(bare_python, "-c", "pass", env={"PYTHONPATH": p}) for p in (env["PYTHONPATH"], str(tmp_path))
    )
    assert with_us.stderr == without.stderr
    assert "own error" in with_us.stderr


def test_other_python(command: Path) -> None:
    """AGT-2: in a child of another version or prefix `superclient run` changes nothing, Python 2 included."""
    other = environment("3.12", superclient=False)
    assert call(command, "run", other, "-c", LOADED).stdout == "False\n"
    same_version = environment(superclient=False)
    assert call(command, "run", same_version, "-c", LOADED).stdout == "False\n"
    for version in ("2.7", "3.6"):
        old = find_interpreter(version)
        if old:
            done = call(command, "run", old, "-c", "print('ok')")
            assert (done.stdout, done.stderr) == ("ok\n", ""), done
            done = call(old, "-c", "print('ok')", env={"PYTHONPATH": str(ENTRY)})
            assert (done.stdout, done.stderr) == ("ok\n", ""), done


def test_exit_status_and_signals(command: Path) -> None:
    """AGT-2: the command replaces ours: its exit status, its signals, its arguments, options included."""
    assert call(command, "run", "sh", "-c", "exit 7").returncode == 7
    assert call(command, "run", "sh", "-c", "kill -TERM $$").returncode == -signal.SIGTERM
    assert call(command, "run", "--", "echo", "--help", "--", "-x").stdout == "--help -- -x\n"
    assert call(command, "run", "env", "echo", "--option").stdout == "--option\n"
    process = subprocess.Popen(
        [command, "run", "sh", "-c", "echo $$; exec sleep 60"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process, process.stdout:
        assert int(process.stdout.readline()) == process.pid
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == -signal.SIGINT


def test_run_mistakes(command: Path, tmp_path: Path) -> None:
    """AGT-2: no command is a usage error (2), an unknown one 127, one that cannot be executed 126; one line each."""
    assert call(command, "run").returncode == 2
    unknown = call(command, "run", "no-such-command-here")
    assert unknown.returncode == 127
    assert unknown.stderr == "superclient run: no-such-command-here: command not found\n"
    (tmp_path / "plain").write_text("")
    denied = call(command, "run", tmp_path / "plain")
    assert denied.returncode == 126
    assert denied.stderr.count("\n") == 1


def test_own_commands_stand_down(python: Path, lab: Path) -> None:
    """AGT-9: in `superclient …` nothing is patched, whatever is imported later, and activate() does nothing."""
    program = """
import sys, superclient.cli, superclient._boot as boot
boot.HOOKS["lib.defining"] = "stub_adapter"
try:
    superclient.cli.main(["--version"])
except SystemExit:
    pass
import superclient; boot.activate()
import lib
print(lib.Producer.patched, "stub_adapter" in sys.modules)
"""
    done = call(python, "-c", program, env={"PYTHONPATH": str(lab)})
    assert done.stdout.splitlines()[-1] == "False False"
    assert done.stderr == ""


def test_help_imports_no_command(python: Path) -> None:
    """AGT-9: `superclient --help` and `python -m superclient` list the commands and import none of them."""
    program = "import sys, superclient.cli\ntry: superclient.cli.main(['--help'])\nexcept SystemExit: pass\n"
    program += "print([m for m in sys.modules if m.startswith(('superclient.cli.', 'superclient.agent', 'wrapt'))])"
    done = call(python, "-c", program)
    assert "run " in done.stdout
    assert "doctor " in done.stdout
    assert done.stdout.endswith("[]\n"), done
    assert call(python, "-m", "superclient", "--version").stdout.startswith("superclient 0.")
    assert call(python, "-m", "superclient", "no-such").returncode == 2
    assert call(python, "-m", "superclient").returncode == 2


def test_missing_extra(python: Path, tmp_path: Path) -> None:
    """AGT-51: a command whose extra is missing names its pip line, in one line, and exits 1."""
    write(tmp_path, "needs_more.py", "import not_installed_anywhere")
    program = "import superclient.cli as c\nc.COMMANDS['x'] = c.Command('needs_more', 'help', 'demo')\n"
    done = call(python, "-c", program + "raise SystemExit(c.main(['x']))", env={"PYTHONPATH": str(tmp_path)})
    assert done.returncode == 1
    assert done.stderr == "superclient: `x` needs more than the base install: pip install 'superclient[demo]'\n"


@pytest.mark.skipif(sys.platform == "win32", reason="paths are POSIX here")
def test_entry_of_another_site_packages(bare_python: Path, python: Path) -> None:
    """AGT-2: a _site folder inside another environment's site-packages does nothing in this Python."""
    entry = next((python.parent.parent / "lib").glob("python3*/site-packages/superclient/_site"))
    assert call(bare_python, "-c", LOADED, env={"PYTHONPATH": str(entry)}).stdout == "False\n"
