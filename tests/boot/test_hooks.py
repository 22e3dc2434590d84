"""The import finder: it patches the defining modules after they ran, and leaves no other trace."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.boot.conftest import PRELUDE, Run, write
from tests.environments import environment, run_program

BROKEN = "[superstream] WARNING boot: lib.defining is left as it is: its adapter failed ({})\n"


def test_patches_after_execution(run: Run) -> None:
    """AGT-8: importing the library patches its defining module, once, after its code and before the import returns."""
    run("""
        import lib, stub_adapter
        assert lib.Producer.patched
        assert stub_adapter.calls == [("lib.defining", False)]
        """)


def test_loader_and_spec_are_vanilla(run: Run) -> None:
    """AGT-8: loader, spec, source, resources, module listing are as without the agent, before and after the import."""
    run("""
        import importlib.util, importlib.resources, importlib.machinery as m, inspect, pkgutil
        spec = importlib.util.find_spec("lib.defining")   # imports lib, and so the module
        import lib.defining as module
        del sys.modules["lib.defining"]
        asked = importlib.util.find_spec("lib.defining")
        assert type(asked) is m.ModuleSpec and type(asked.loader) is m.SourceFileLoader
        assert "lib.defining" not in sys.modules
        sys.modules["lib.defining"] = module
        for loader in (module.__loader__, module.__spec__.loader):
            assert type(loader) is m.SourceFileLoader, loader
            assert set(vars(loader)) == {"name", "path"}, vars(loader)
        assert type(module.__spec__) is m.ModuleSpec and module.__spec__.loader is module.__loader__
        assert "A producer." in inspect.getsource(module) and "A producer." in inspect.getsource(module.Producer)
        assert importlib.resources.files("lib").joinpath("data.txt").read_text().strip() == "text"
        assert pkgutil.get_data("lib", "data.txt").strip() == b"text"
        assert [info.name for info in pkgutil.walk_packages(sys.modules["lib"].__path__)] == ["defining"]
        """)


def test_asking_for_a_spec_patches_nothing(run: Run) -> None:
    """AGT-8: find_spec of a module that nobody imported has no side effect, and the import afterwards is hooked."""
    run("""
        import importlib.util
        boot.HOOKS["top"] = "stub_adapter"
        open(sys.path[1] + "/top.py", "w").write("class Producer: patched = False")
        importlib.invalidate_caches()
        for _ in range(3):
            assert type(importlib.util.find_spec("top").loader).__name__ == "SourceFileLoader"
        assert "stub_adapter" not in sys.modules and "top" not in sys.modules
        import top
        assert top.Producer.patched
        """)


def test_recipes_of_the_documentation(run: Run) -> None:
    """AGT-8: module_from_spec with exec_module, and LazyLoader, are executions like any other."""
    run("""
        import importlib.util
        import lib
        del sys.modules["lib.defining"]
        spec = importlib.util.find_spec("lib.defining")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        assert module.Producer.patched and set(vars(spec.loader)) == {"name", "path"}
        spec = importlib.util.find_spec("lib.defining")
        spec.loader = importlib.util.LazyLoader(spec.loader)
        lazy = importlib.util.module_from_spec(spec)
        sys.modules["lib.defining"] = lazy
        spec.loader.exec_module(lazy)
        import stub_adapter
        assert len(stub_adapter.calls) == 2
        assert lazy.Producer.patched
        assert len(stub_adapter.calls) == 3
        """)


def test_reload(run: Run) -> None:
    """AGT-8: the finder stays: a reloaded module is patched again and its loader is vanilla again."""
    run("""
        import importlib, lib, stub_adapter
        first = lib.defining.Producer
        module = importlib.reload(lib.defining)
        assert module.Producer is not first and module.Producer.patched
        assert stub_adapter.calls == [("lib.defining", False)] * 2
        assert set(vars(module.__loader__)) == {"name", "path"}
        """)


def test_zipimport(run: Run, lab: Path) -> None:
    """AGT-8: a library inside a zip file is patched, and its loader is the zipimporter again."""
    with zipfile.ZipFile(lab / "library.zip", "w") as archive:
        for name in ("__init__.py", "defining.py", "data.txt"):
            archive.write(lab / "lib" / name, f"lib/{name}")
    run("""
        import zipimport, pkgutil, inspect
        sys.path.insert(0, sys.path[1] + "/library.zip")
        import lib
        module = lib.defining
        assert ".zip" in module.__file__ and module.Producer.patched
        assert type(module.__loader__) is type(module.__spec__.loader) is zipimport.zipimporter
        assert pkgutil.get_data("lib", "data.txt").strip() == b"text" and "A producer" in inspect.getsource(module)
        """)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="CPython has the frozen package __phello__.ham from 3.11 on")
def test_frozen(run: Run, lab: Path) -> None:
    """AGT-8: a frozen module is patched, and its loader is FrozenImporter again."""
    write(lab, "noting.py", "def patch(module):\n    module.noted = True")
    run("""
        boot.HOOKS["__phello__.ham.eggs"] = "noting"
        import __phello__.ham.eggs as module, _frozen_importlib
        assert module.noted
        assert module.__loader__ is module.__spec__.loader is _frozen_importlib.FrozenImporter
        """)


def test_other_projects_finders(run: Run) -> None:
    """AGT-8: hooks of other projects, old or asking sys.meta_path again from within, work before and after ours."""
    run("""
        import importlib.util, importlib.machinery, warnings
        class Wrapping:      # as in wrapt and in tracers
            busy = False
            def find_spec(self, name, path=None, target=None):
                if name != "lib.defining" or self.busy:
                    return None
                self.busy = True
                try:
                    return importlib.util.find_spec(name)
                finally:
                    self.busy = False
        class Old:           # has load_module alone
            def __init__(self, name, path): self.name, self.path = name, path
            def load_module(self, name):
                import types
                module = sys.modules[name] = types.ModuleType(name)
                exec(open(self.path).read(), module.__dict__)
                return module
        class OldFinder:
            def find_spec(self, name, path=None, target=None):
                if name == "lib.defining":
                    file = path[0] + "/defining.py"
                    return importlib.machinery.ModuleSpec(name, Old(name, file), origin=file)
        import lib, stub_adapter
        def again():
            stub_adapter.calls.clear()
            del sys.modules["lib.defining"]
            import lib.defining as module
            assert sys.modules["lib.defining"].Producer.patched and len(stub_adapter.calls) == 1, stub_adapter.calls
            return sys.modules["lib.defining"]
        sys.meta_path.append(Wrapping()); again(); sys.meta_path.pop()
        sys.meta_path.insert(1, Wrapping()); again(); del sys.meta_path[1]
        sys.meta_path.insert(0, Wrapping()); again(); del sys.meta_path[0]
        sys.meta_path.insert(1, OldFinder())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module = again()
        assert type(module.__loader__) is type(module.__spec__.loader) is Old
        """)


def test_threads(run: Run) -> None:
    """AGT-8: threads that import at once see a patched class, patched once; no global import lock is held meanwhile."""
    run("""
        import threading, _imp, time
        import stub_adapter
        real = stub_adapter.patch
        def patch(module):
            assert not _imp.lock_held()
            other = threading.Thread(target=__import__, args=("colorsys",))   # another import goes on meanwhile
            other.start(); other.join(10); assert not other.is_alive()
            real(module)
        stub_adapter.patch = patch
        seen, gate = [], threading.Barrier(8)
        def work():
            gate.wait()
            from lib.defining import Producer
            seen.append(Producer.patched)
        threads = [threading.Thread(target=work) for _ in range(8)]
        [t.start() for t in threads]; [t.join(20) for t in threads]
        assert seen == [True] * 8 and len(stub_adapter.calls) == 1, (seen, stub_adapter.calls)
        """)


@pytest.mark.parametrize("error", ["SystemExit(3)", "KeyboardInterrupt()", "ValueError('x')", "ImportError('x')"])
def test_broken_adapter(run: Run, lab: Path, error: str) -> None:
    """AGT-7: whatever an adapter raises, midway, the import succeeds, the module is as it was, and one line says so."""
    write(
        lab,
        "stub_adapter.py",
        f"def patch(m):\n    m.Producer.patched = m.extra = m.Producer.more = 1\n    raise {error}",
    )
    said = {"SystemExit(3)": "SystemExit: 3", "KeyboardInterrupt()": "KeyboardInterrupt: "}
    name = said.get(error) or error.replace("('", ": ").replace("')", "")
    run(
        """
        import lib
        assert lib.Producer.patched is False
        assert not hasattr(lib.defining, 'extra')
        assert not hasattr(lib.Producer, 'more')
        """,
        stderr=BROKEN.format(name),
    )


def test_adapter_that_cannot_be_imported(run: Run, lab: Path) -> None:
    """AGT-7: an adapter that exits while it is imported, or is not there, leaves the import as without the agent."""
    write(lab, "stub_adapter.py", "raise SystemExit('no')")
    run("import lib; assert not lib.Producer.patched", stderr=BROKEN.format("SystemExit: no"))
    (lab / "stub_adapter.py").unlink()
    missing = "ModuleNotFoundError: No module named 'stub_adapter'"
    run("import lib; assert not lib.Producer.patched", stderr=BROKEN.format(missing))


def test_failing_library(run: Run, lab: Path) -> None:
    """AGT-7: a library that itself fails to import fails as ever, and may succeed and be patched later."""
    write(
        lab,
        "lib/defining.py",
        "import os\nif os.environ.get('FAIL'): raise SystemExit(7)\nclass Producer: patched = False",
    )
    run("""
        import os
        os.environ["FAIL"] = "1"
        try:
            import lib
        except SystemExit as error:
            assert error.code == 7
        assert "lib.defining" not in sys.modules
        del os.environ["FAIL"]
        import lib
        assert lib.Producer.patched
        """)


def test_late_activation(run: Run) -> None:
    """AGT-6: `import superclient` after the library was imported patches it then, told that it is late, and once."""
    run("""
        sys.meta_path.remove(boot.installed())
        import lib
        held = lib.Producer
        assert not held.patched
        for name in [name for name in sys.modules if name.startswith("superclient")]:
            del sys.modules[name]
        hooks = boot.HOOKS
        import superclient._boot as fresh, superclient
        sys.meta_path.remove(fresh.installed())
        fresh.HOOKS.clear(); fresh.HOOKS.update(hooks)
        fresh.activate(); fresh.activate()
        import stub_adapter
        assert held.patched and stub_adapter.calls == [("lib.defining", True)]
        """)


def test_without_site(python: Path, lab: Path) -> None:
    """AGT-2: where no .pth is read (`python -S`, a zipapp), `import superclient` is the entry, early or late."""
    site = next((python.parent.parent / "lib").glob("python3*/site-packages"))
    env = {"PYTHONPATH": f"{lab}:{site}"}
    done = run_program(python, "import sys; print('superclient' in sys.modules)", options=["-S"], env=env)
    assert done.stdout == "False\n"
    done = run_program(python, PRELUDE + "import lib; print(lib.Producer.patched)", options=["-S"], env=env)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_zipapp(python: Path, bare_python: Path, lab: Path) -> None:
    """AGT-2: a zipapp that carries superclient and the library activates the agent by `import superclient`."""
    site = next((python.parent.parent / "lib").glob("python3*/site-packages"))
    with zipfile.ZipFile(lab / "app.pyz", "w") as archive:
        for file in (*(site / "superclient").rglob("*.py"), *(site / "wrapt").rglob("*.py")):
            archive.write(file, file.relative_to(site))
        for file in ("lib/__init__.py", "lib/defining.py", "stub_adapter.py"):
            archive.write(lab / file, file)
        archive.writestr("__main__.py", PRELUDE + "import lib; print(lib.Producer.patched)")
    done = subprocess.run([bare_python, lab / "app.pyz"], capture_output=True, text=True, env={}, timeout=30)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_real_libraries() -> None:
    """AGT-8: the three defining modules are those that define the classes; their loaders are vanilla afterwards."""
    python = environment(packages=["kafka-python", "aiokafka", "confluent-kafka"])
    done = run_program(
        python,
        """
        import sys, types, superclient._boot as boot
        noted = []
        stub = sys.modules["stub_adapter"] = types.ModuleType("stub_adapter")
        def patch(module):
            noted.append((module.__name__, [name for name in vars(module) if name.endswith("Producer")][0]))
        stub.patch = patch
        for name in boot.HOOKS: boot.HOOKS[name] = "stub_adapter"
        from kafka import KafkaProducer
        from aiokafka import AIOKafkaProducer
        from confluent_kafka import Producer
        print(sorted(noted))
        for name in boot.HOOKS:
            print(type(sys.modules[name].__loader__).__name__, "exec_module" in vars(sys.modules[name].__loader__))
        """,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "[('aiokafka.producer.producer', 'AIOKafkaProducer'), ('confluent_kafka.cimpl', 'Producer'), "
        "('kafka.producer.kafka', 'KafkaProducer')]",
        "SourceFileLoader False",
        "SourceFileLoader False",
        "ExtensionFileLoader False",
    ]
