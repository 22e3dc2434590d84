"""The root of the command line: global options, configuration, output, help, errors; without a cluster."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest

from superclient import cli
from superclient.cli._output import Output
from superclient.cli._session import Session
from superclient.cli.app import Command, Group, root
from tests.environments import clean_environment, environment, run_program
from tests.integration.cli import document, full_python, inside, superclient

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {"sasl.password": "hunter-1", "ssl_key_password": "hunter-2", "basic.auth.user.info": "hunter-3"}
FILE = {
    "default": {"bootstrap_servers": "default:9092", "client.id": "any", "producer": {"linger.ms": 3, "acks": "all"}},
    "dev": {"bootstrap.servers": "dev:9092", "producer": {"linger_ms": "7"}, "consumer": {"group.id": "billing"}},
    "prod": {"bootstrap.servers": "prod:9092", **SECRETS, "admin": {"request_timeout_ms": 1000}},
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file, for its owner alone."""
    return written(tmp_path / "kafka.json", FILE)


def written(path: Path, content: object, mode: int = 0o600) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def leaves() -> list[tuple[str, click.Command]]:
    """Every subcommand there is."""
    found = []
    for name, row in cli.GROUPS.items():
        if importlib.util.find_spec(row.module) is None:
            continue
        context = click.Context(root)
        group = root.get_command(context, name)
        assert group is not None
        if isinstance(group, Group):
            found += [(f"{name} {leaf}", command) for leaf, command in group.commands.items()]
        else:
            found.append((name, group))
    return found


# --- configuration ----------------------------------------------------------------------------------------------------


def shown(*arguments: str, home: Path | None = None) -> Any:
    ran = inside("--show-config", *arguments, home=home)
    assert ran.returncode == 0, ran.stderr
    return document(ran)


def test_the_default_file(tmp_path: Path):
    """KLI-18, KLI-19: ~/.kafka/config.json is read, and no other file; without it all is as without a file."""
    written(tmp_path / ".kafka" / "config.json", FILE)
    written(tmp_path / "config.json", {"default": {"bootstrap.servers": "elsewhere:1"}})
    assert shown(home=tmp_path)["producer"]["bootstrap.servers"] == "default:9092"
    assert shown("-e", "dev", home=tmp_path)["config_file"] == str(tmp_path / ".kafka" / "config.json")
    nothing = inside("--show-config")
    assert document(nothing)["config_file"] is None
    assert document(nothing)["admin"]["bootstrap.servers"] == "localhost:9092"
    assert nothing.stderr == (
        "superclient: warning: the configuration names no bootstrap servers: localhost:9092 is used\n"
    )


def test_environments_roles_and_sections(file: Path):
    """KLI-18, KLI-21, KLI-22, KLI-23: a role's environment > --env > default; its section over the flat keys; names in
    both spellings."""
    found = shown("-C", str(file), "-e", "dev", "--admin-env", "prod")
    assert [found[role]["bootstrap.servers"] for role in ("producer", "consumer", "admin")] == [
        "dev:9092",
        "dev:9092",
        "prod:9092",
    ]
    assert [found[role]["env"] for role in ("producer", "consumer", "admin")] == ["dev", "dev", "prod"]
    assert (found["producer"]["linger.ms"], found["producer"]["acks"], found["producer"]["client.id"]) == (
        7.0,
        "all",
        "any",
    )
    assert found["consumer"]["group.id"] == "billing"
    assert "linger.ms" not in found["consumer"]
    only = shown("-C", str(file), "--consumer-env", "dev")
    assert [only[role]["bootstrap.servers"] for role in ("producer", "consumer")] == ["default:9092", "dev:9092"]


def test_options_win_over_the_file(file: Path):
    """KLI-21: -X > -b > file, in either spelling, for every role that has the setting."""
    servers = shown("-C", str(file), "-e", "dev", "-b", "given:1")
    assert {servers[role]["bootstrap.servers"] for role in ("producer", "consumer", "admin")} == {"given:1"}
    found = shown("-C", str(file), "-b", "given:1", "-X", "bootstrap_servers=x:1", "-X", "retries=9", "-X", "a.b=c=d")
    assert found["producer"]["bootstrap.servers"] == "x:1"
    assert (found["producer"]["retries"], found["consumer"].get("retries")) == (9, None)
    assert found["admin"]["a.b"] == "c=d"


def test_a_variable_that_is_not_set(file: Path):
    """KLI-20, KLI-21: `-b "$SERVERS"` and `-e "$ENV"` without a value do not quietly mean some other cluster."""
    ran = inside("--show-config", "-C", str(file), "-b", "")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "superclient: bootstrap_servers is empty: it takes HOST:PORT,…\n"
    assert "has no environment ''" in inside("info", "config-dump", "-C", str(file), "-e", "").stderr


def test_the_flat_file(tmp_path: Path):
    """KLI-18: a file without environments is one mapping."""
    flat = written(tmp_path / "flat.json", {"bootstrap.servers": "flat:1", "consumer": {"group.id": "g"}})
    found = shown("-C", str(flat))
    assert (found["consumer"]["bootstrap.servers"], found["consumer"]["group.id"]) == ("flat:1", "g")


def test_the_configuration_is_shown(file: Path):
    """KLI-28: --show-config alone is the answer; before a command it goes to stderr; secrets are in neither."""
    words = ["-C", str(file), "-e", "prod", "-X", "sasl.oauthbearer.client.secret=hunter-4", "--show-config"]
    alone = inside(*words)
    before = inside(*words, "info", "version")
    after = inside("info", "version", *words)
    for ran in (alone, before, after):
        assert ran.returncode == 0
        assert "hunter" not in ran.stdout + ran.stderr
    assert document(alone)["producer"]["sasl.password"] == "********"
    assert "superclient" in document(before)
    assert json.loads(before.stderr) == json.loads(after.stderr) == document(alone)


def test_the_configuration_before_a_command_of_the_agents_side():
    """KLI-28: --show-config goes before any command."""
    ran = superclient("--show-config", "run", sys.executable, "-c", "import sys; print('ran'); sys.exit(5)", "-b", "x")
    assert (ran.returncode, ran.stdout) == (5, "ran\n")
    assert '"sasl' not in ran.stderr
    assert '"bootstrap.servers": "localhost:9092"' in ran.stderr


def test_the_dump(file: Path):
    """KLI-38, KLI-28: an environment as it resolves, one spelling for each setting; secrets masked, addresses too."""
    dev = document(inside("info", "config-dump", "--env", "dev", "-C", str(file)))
    assert dev == {
        "client.id": "any",
        "bootstrap.servers": "dev:9092",
        "producer": {"acks": "all", "linger_ms": "7"},
        "consumer": {"group.id": "billing"},
    }
    prod = inside("info", "config-dump", "--env", "prod", "-C", str(file))
    assert "hunter" not in prod.stdout
    assert [document(prod)[name] for name in SECRETS] == ["********"] * 3
    flat = written(file.with_name("flat.json"), {"schema.registry.url": "https://me:hunter-5@registry", "a": {"b": 1}})
    assert document(inside("info", "config-dump", "-C", str(flat))) == {
        "schema.registry.url": "https://********@registry",
        "a": {"b": 1},
    }


def test_an_unknown_environment(file: Path):
    """KLI-20: it is {}, and one line of warning that names what there is."""
    ran = inside("info", "config-dump", "--env", "qa", "-C", str(file))
    assert (ran.returncode, ran.stdout) == (0, "{}\n")
    assert ran.stderr == (
        f"superclient info config-dump: warning: {file} has no environment 'qa' (it has: default, dev, prod)\n"
    )


@pytest.mark.parametrize("content", ["", "[1]", '{"a": ', '{"default": 5}', '{"default": {"producer": 5}}', None])
@pytest.mark.parametrize("command", [["--show-config"], ["info", "config-dump"]])
def test_a_file_that_is_none(tmp_path: Path, content: str | None, command: list[str]):
    """KLI-18: an absent or malformed file is one line that names it, and status 2."""
    path = tmp_path / "kafka.json"
    if content is not None:
        written(path, content)
    ran = inside(*command, "-C", str(path))
    if command[-1] == "config-dump" and content == '{"default": {"producer": 5}}':
        return  # what it resolves to is shown as it is
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (2, "", 1)
    assert path.name in ran.stderr or "section producer" in ran.stderr


@pytest.mark.skipif(os.name != "posix", reason="rights of POSIX")
def test_a_file_that_everybody_can_read(tmp_path: Path):
    """KLI-18: secrets in it are worth one line of warning, for all roles together; it goes on."""
    path = written(tmp_path / "kafka.json", FILE, 0o644)
    ran = inside("--show-config", "-C", str(path), "-e", "dev")
    assert ran.returncode == 0
    assert ran.stderr == (
        f"superclient: warning: {path} holds secrets and can be read by everybody (mode 644): chmod 600 {path}\n"
    )


@pytest.mark.parametrize(
    "setting",
    ["retries=many", "acks=7", "transactional.id=", "isolation.level=chaos", "heartbeat.interval.ms=9999999"],
)
def test_a_setting_that_cannot_be_meant(setting: str):
    """KLI-23: one line, status 2."""
    ran = inside("--show-config", "-b", "a:1", "-X", setting)
    assert (ran.returncode, ran.stdout, len(ran.stderr.splitlines())) == (2, "", 1)
    assert setting.partition("=")[0].replace(".", "_") in ran.stderr


# --- output -----------------------------------------------------------------------------------------------------------


def test_an_output_file(tmp_path: Path):
    """KLI-29: before the command and after it; what comes after wins; nothing is left for stdout."""
    one, two = tmp_path / "one", tmp_path / "two"
    for words in (["-o", str(one), "info", "version"], ["info", "version", "-o", str(two)]):
        ran = inside(*words)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert json.loads(one.read_text()) == json.loads(two.read_text())
    one.unlink()
    inside("-o", str(one), "info", "-o", str(one), "version", "--output-file", str(two))
    assert not one.exists()
    assert "superclient" in document(inside("info", "version", "-o", "-"))


def test_a_file_that_cannot_be_written(tmp_path: Path):
    """KLI-29: one line, status 2."""
    ran = inside("info", "version", "-o", str(tmp_path / "no" / "file"))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert (
        ran.stderr
        == f"superclient info version: {tmp_path / 'no' / 'file'} cannot be written: No such file or directory\n"
    )


def test_pretty_and_compact():
    """KLI-30: pretty by default, compact on one line; the last word counts."""
    pretty, compact = inside("info", "version"), inside("info", "version", "--compact-json")
    assert document(pretty) == document(compact)
    assert '\n  "superclient": ' in pretty.stdout
    assert compact.stdout.count("\n") == 1
    assert ": " not in compact.stdout
    assert inside("--compact-json", "info", "version").stdout == compact.stdout
    assert inside("--compact-json", "info", "version", "--pretty-json").stdout == pretty.stdout


def test_a_filter():
    """KLI-31, KLI-32: what matches stays, whatever its case, as valid JSON; a broken pattern is a usage error."""
    assert list(document(inside("info", "version", "-f", "CLICK"))["packages"]) == ["click"]
    keyed = document(inside("-f", "click:^8", "info", "version"))
    assert keyed["packages"]["click"].startswith("8")
    assert "superclient" not in keyed
    assert document(inside("info", "version", "-f", "click:^nothing$")) == {}
    broken = inside("info", "version", "-f", "(")
    assert (broken.returncode, broken.stdout, len(broken.stderr.splitlines())) == (2, "", 1)


def test_records_lines_and_events(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]):
    """KLI-29, KLI-30, KLI-31: records are a line each where nobody watches, events are on stdout whatever the output is
    and there at once, the order is kept, bytes pass as they are."""
    output = Output(file=str(tmp_path / "out"), pattern="keep")
    output.record({"value": "Keep\udc80"})
    output.event("begun", at=1)
    assert capfdbinary.readouterr().out == b'{"event":"begun","at":1}\n'
    output.record(lambda: {"value": "drop"})
    output.line("drop")
    output.line("to keep")
    output.write(b"\xff\x00")
    output.close()
    assert (tmp_path / "out").read_bytes() == b'{"value":"Keep\\udc80"}\nto keep\n\xff\x00'
    assert capfdbinary.readouterr().out == b""
    plain = Output(compact=False)
    plain.record({"a": 1})
    plain.event("ended")
    plain.document({1: (b"\xff", None)})
    plain.close()
    assert capfdbinary.readouterr().out == (
        b'{\n  "a": 1\n}\n{"event":"ended"}\n{\n  "1": [\n    "\\\\xff",\n    null\n  ]\n}\n'
    )


# --- help and mistakes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("path", "command"), leaves(), ids=lambda value: value if isinstance(value, str) else "")
def test_help_teaches(path: str, command: click.Command):
    """Issue item 3: each command's help has an example of it, its global options, and says what each option does."""
    ran = inside(*path.split(), "--help")
    assert (ran.returncode, ran.stderr) == (0, "")
    examples = ran.stdout.partition("Examples:")[2]
    assert re.search(rf"^\s+(.*[|(] ?)?(\w+=\S+ )*superclient {path}\b", examples, re.MULTILINE), ran.stdout
    assert "--bootstrap-servers" in ran.stdout or command.name == "completion"
    assert max(map(len, ran.stdout.splitlines())) <= 120
    for param in command.params:
        assert isinstance(param, click.Argument) or (isinstance(param, click.Option) and param.help), param.name


def test_the_root_lists_everything():
    """Issue item 3: `superclient --help` names every command and every global option; after options it is the same."""
    whole = inside("-b", "a:1", "--help").stdout
    assert whole == cli.help_text()
    for name in (*cli.COMMANDS, *cli.GROUPS, *(flag for row in cli.GLOBALS for flag in row.flags)):
        assert name in whole
    assert max(map(len, whole.splitlines())) <= 120


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["infos"], "superclient: there is no command 'infos', did you mean 'info'?; superclient --help lists them"),
        (
            ["--json", "docter"],
            "superclient: there is no command 'docter', did you mean 'doctor'? (see superclient --help)",
        ),
        (
            ["info", "versio"],
            "superclient info: there is no command 'versio', did you mean 'version'? (see superclient info --help)",
        ),
        (
            ["-b", "a:1", "lag", "orders"],
            "superclient lag: `lag` takes its options after its name (see superclient lag --help)",
        ),
        (["info", "version", "x"], "superclient info version: Got unexpected extra argument (x)"),
        (["info", "version", "--jsonn"], "superclient info version: No such option"),
        (["info", "version", "-X", "secret"], "superclient info version: Invalid value for '-X' / '--option'"),
        (["completion", "tcsh"], "superclient completion: Invalid value for"),
    ],
)
def test_a_mistake_of_spelling(
    words: list[str], line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """Issue item 3: one line that suggests the near one, status 2."""
    monkeypatch.setenv("HOME", "/nonexistent")
    assert cli.main(words) == 2
    found = capsys.readouterr()
    assert found.out == ""
    assert len(found.err.splitlines()) == 1
    assert found.err.startswith(line)
    if "--jsonn" in words:
        assert "Did you mean" in found.err


@pytest.mark.parametrize("words", [["info"], ["--json"], ["-b", "a:1", "info"]])
def test_nothing_asked(words: list[str]):
    """Issue item 3: a group without a subcommand shows its help, status 2."""
    ran = inside(*words)
    assert ran.returncode == 2
    assert ran.stdout.lower().startswith("usage: superclient")


def ending(error: BaseException, *words: str, monkeypatch: pytest.MonkeyPatch) -> subprocess.CompletedProcess[str]:
    """A command that ends so."""

    def end() -> None:
        raise error

    group = Group("info")
    group.add_command(Command("end", callback=end))
    monkeypatch.setattr("superclient.cli.info.group", group)
    return inside("info", "end", *words)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (OSError(28, "No space left on device", "/x"), 1, "/x: No space left on device"),
        (ValueError("offset is -5"), 2, "offset is -5"),
        (ZeroDivisionError("oh"), 1, "a mistake of superclient's own: ZeroDivisionError: oh; -v shows where"),
        (click.UsageError("no\n  two lines"), 2, "no two lines"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 0, ""),
    ],
)
def test_how_commands_end(error: BaseException, status: int, text: str, monkeypatch: pytest.MonkeyPatch):
    """Issue item 3: exit status 0, 1, 2; one line on stderr; -v adds the trace."""
    ran = ending(error, monkeypatch=monkeypatch)
    assert (ran.returncode, ran.stdout) == (status, "")
    assert ran.stderr == (f"superclient info end: {text}\n" if text else "")
    if text:
        loud = ending(error, "-v", monkeypatch=monkeypatch)
        assert loud.returncode == status
        assert loud.stderr.startswith("Traceback")
        assert loud.stderr.endswith(ran.stderr)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_ask_for_the_end(number: signal.Signals):
    """KLI-15, KLI-53: the first signal is noted with its time and told once, a second one interrupts, the handlers are
    restored."""
    before, told = signal.getsignal(number), []
    with pytest.raises(KeyboardInterrupt), Session().stopping(lambda: told.append(1)) as stop:  # noqa: PT012
        assert (stop.requested, stop.at) == (False, None)
        signal.raise_signal(number)
        assert stop.requested
        assert stop.at is not None
        assert told == [1]
        signal.raise_signal(number)
    assert told == [1]
    assert signal.getsignal(number) is before


# --- completion -------------------------------------------------------------------------------------------------------


def completed(words: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    monkeypatch.setenv(cli.COMPLETE, "bash_complete")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    assert cli.main([]) == 0
    found = capsys.readouterr()
    assert found.err == ""
    return [line.partition(",")[2] for line in found.out.split()]


def test_completion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Issue item 3: commands of both kinds, subcommands, options and environments are completed; no warnings."""
    path = written(tmp_path / "kafka.json", FILE, 0o644)
    assert completed("superclient ", monkeypatch, capsys) == [*cli.COMMANDS, *cli.GROUPS]
    assert completed("superclient in", monkeypatch, capsys) == ["init", "info"]
    assert completed("superclient info ", monkeypatch, capsys) == ["version", "config-dump"]
    assert completed("superclient info version --comp", monkeypatch, capsys) == ["--compact-json"]
    assert completed(f"superclient -C {path} --producer-env d", monkeypatch, capsys) == ["default", "dev"]
    assert completed(f"superclient info version -C {path} -e p", monkeypatch, capsys) == ["prod"]
    assert completed("superclient -C /nonexistent -e p", monkeypatch, capsys) == []
    assert completed("superclient completion ", monkeypatch, capsys) == ["bash", "zsh", "fish"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str):
    """Issue item 3: click's own script for each shell."""
    ran = inside("completion", shell)
    assert ran.returncode == 0, ran.stderr
    assert f"{cli.COMPLETE}={shell}_complete" in ran.stdout


# --- start ------------------------------------------------------------------------------------------------------------

IMPORTED = """
import sys
from superclient.cli import main
status = main(sys.argv[1:])
names = sorted({name.partition(".")[0] for name in sys.modules} & set(WATCHED))
ours = [name for name in sys.modules if name.startswith("superclient.cli.") and "._" not in name]
print(names, ours, file=sys.stderr)
"""
WATCHED = ["aiokafka", "asyncio", "click", "confluent_kafka", "kafka", "rich", "simpleeval", "wrapt", "argparse"]


@pytest.mark.parametrize(
    ("words", "names", "modules"),
    [
        (["--help"], [], []),
        (["--version"], [], []),
        (["info", "--help"], ["click"], ["app", "info"]),
        (["info", "config-dump"], ["click"], ["app", "info"]),
        (["--show-config", "-b", "a:1"], ["click"], ["app"]),
        (["completion", "zsh"], ["click"], ["app", "completion"]),
    ],
)
def test_what_a_command_imports(words: list[str], names: list[str], modules: list[str]):
    """Issue item 4: help imports nothing of ours, nor click; no Kafka library and no rich before they are needed, and
    one group's module alone."""
    source = f"WATCHED = {WATCHED!r}\n{IMPORTED}"
    ran = run_program(Path(sys.executable), source, *words, env={"PYTHONPATH": str(ROOT), "HOME": "/nonexistent"})
    assert ran.stderr.splitlines()[-1] == f"{names} {['superclient.cli.' + name for name in modules]}"


def test_help_of_every_command_imports_no_kafka_library():
    """Issue item 4: nor rich, nor an evaluator, nor asyncio: help is there before one looks up."""
    asked = "; ".join(f"main({[*path.split(), '--help']!r})" for path, _ in leaves())
    source = f"import sys\nfrom superclient.cli import main\n{asked}\n"
    source += "print(sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    ran = run_program(Path(sys.executable), source, env={"PYTHONPATH": str(ROOT)})
    assert not {"aiokafka", "asyncio", "confluent_kafka", "kafka", "rich", "simpleeval", "prometheus_client"} & set(
        ast.literal_eval(ran.stderr)
    )


def test_without_click():
    """AGT-51: on the base install --help lists everything, and a command of the toolkit names its extra in one line."""
    base = environment()
    whole = superclient("--help", python=base)
    assert (whole.returncode, whole.stdout, whole.stderr) == (0, cli.help_text(), "")
    for words in (["consume", "poll", "orders"], ["-b", "a:1", "consume", "poll"]):
        ran = superclient(*words, python=base)
        assert (ran.returncode, ran.stdout) == (1, "")
        assert ran.stderr == "superclient: `consume` needs more than the base install: pip install 'superclient[cli]'\n"


def test_an_option_that_is_none_without_click():
    """AGT-51: a misspelt option is not taken for a lack of click."""
    ran = superclient("--versoin", python=environment())
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith("superclient: there is no option '--versoin'")


def test_a_locale_with_few_letters():
    """Issue item 3: help is shown in any locale."""
    env = clean_environment({"PYTHONIOENCODING": "ascii"})
    for words in (["--help"], ["produce", "transaction", "--help"]):
        command = [str(full_python().with_name("superclient")), *words]
        ran = subprocess.run(command, capture_output=True, env=env, timeout=60)
        assert (ran.returncode, ran.stderr) == (0, b"")


def test_without_a_kafka_library():
    """AGT-51: with click alone, versions are shown all the same; what needs the library names the extra."""
    python = environment(packages=["click"])
    ran = superclient("info", "version", python=python)
    assert (ran.returncode, document(ran)["librdkafka"], document(ran)["packages"]["confluent-kafka"]) == (
        0,
        None,
        None,
    )
    ran = superclient("info", "config-dump", python=python)
    assert (ran.returncode, ran.stdout) == (1, "")
    assert (
        ran.stderr
        == "superclient: `info config-dump` needs more than the base install: pip install 'superclient[cli]'\n"
    )


# --- real processes ---------------------------------------------------------------------------------------------------


def test_the_module_is_the_command():
    """Issue item 3: `python -m superclient` is the same as `superclient`; both show the truth about versions."""
    env = clean_environment({})
    words = [str(full_python()), "-m", "superclient", "info", "version"]
    module = subprocess.run(words, capture_output=True, text=True, env=env, timeout=60)
    command = superclient("info", "version")
    assert (command.returncode, command.stderr) == (0, "")
    assert document(module) == document(command)
    found = document(command)
    assert found["python"].startswith("3.")
    assert all(found["packages"].values())
    assert found["librdkafka"] == found["packages"]["confluent-kafka"].rpartition(".")[0] + ".0" or found["librdkafka"]


def shell(line: str) -> subprocess.CompletedProcess[str]:
    command = str(full_python().with_name("superclient"))
    env = clean_environment({"S": command})
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, env=env, timeout=60)


@pytest.mark.parametrize("words", ["--help", "info version", "info --help"])
def test_a_reader_that_has_had_enough(words: str):
    """Issue item 3: a closed pipe is no error, and leaves no trace."""
    ran = shell(f'sleep 0 | "$S" {words} | head -c 0; exit "${{PIPESTATUS[1]}}"')
    assert (ran.returncode, ran.stderr) == (0, "")


def test_stdout_that_takes_nothing():
    """Issue item 3: a closed stdout and a full disk are one line, status 1."""
    for target, line in ((">&-", "stdout is closed"), ("> /dev/full", "No space left on device")):
        ran = shell(f'"$S" info version {target}')
        assert (ran.returncode, ran.stderr) == (1, f"superclient info version: {line}\n")


def test_the_bash_script_completes():
    """Issue item 3: what bash makes of the script."""
    line = 'PATH="$(dirname "$S"):$PATH"; eval "$(superclient completion bash)"; COMP_WORDS=(superclient info v); '
    ran = shell(line + 'COMP_CWORD=2; _superclient_completion superclient v info; echo "${COMPREPLY[@]}"')
    assert (ran.stdout, ran.stderr) == ("version\n", "")


def test_a_client_that_outlives_its_command_stays_quiet() -> None:
    """Issue item 3: what librdkafka says after the command's end goes nowhere."""
    source = (
        "import logging; from superclient.cli._session import LIBRARY_LOGGER, Session\n"
        "session = Session(); session.begin('superclient x'); session.end()\n"
        "logging.getLogger(LIBRARY_LOGGER).error('FAIL')"
    )
    ran = run_program(Path(sys.executable), source, env={"PYTHONPATH": str(ROOT), "SUPERSTREAM_DISABLED": "true"})
    assert (ran.returncode, ran.stderr) == (0, "")
