"""What a hit of the finder in `_boot` needs: hooks one execution of a module, then has its adapter patch it.

A patch that fails leaves the module as it was. Imported at the first hit, by `_boot` alone; imports sys and nothing
else, for the reason given there. What a patch does is the adapters' business.
"""

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

    from superclient._boot import Finder

# Loaders that the import system makes anew for each module, so that one may carry a hook without touching another's.
_OWN_LOADERS = ("SourceFileLoader", "SourcelessFileLoader", "ExtensionFileLoader")


def find_spec(
    finder: "Finder", name: str, path: "Sequence[str] | None", target: "ModuleType | None"
) -> "ModuleSpec | None":
    """The other finders' spec, its execution hooked; spec and loader look as ever to those who only ask for them."""
    # Other projects' import hooks ask all of sys.meta_path again from within. The import system calls finders with its
    # global lock held, so that one set serves every thread.
    if name in finder.finding:
        return None
    finder.finding.add(name)
    try:
        spec = _ask_others(finder, name, path, target)
    finally:
        finder.finding.discard(name)
    try:
        if spec is not None and spec.loader is not None:
            _hook(finder, spec)
    except BaseException as error:
        finder.failed[name] = f"{type(error).__name__}: {error}"
    return spec


def catch_up(finder: "Finder") -> None:
    """Patch the hooked modules that were imported before the finder was there."""
    for name in list(finder.hooks):
        if name not in sys.modules:
            continue
        __import__(name)  # waits where another thread is still executing it
        module = sys.modules[name]
        executing = getattr(getattr(module, "__spec__", None), "_initializing", False)
        if not executing and finder.patched.get(name) is not module:
            _patch(finder, name, module, late=True)


def _ask_others(
    finder: "Finder", name: str, path: "Sequence[str] | None", target: "ModuleType | None"
) -> "ModuleSpec | None":
    others = list(sys.meta_path)
    if finder in others:  # those before this one have had their turn
        del others[: others.index(finder) + 1]
    for other in others:
        method = getattr(other, "find_spec", None)
        spec: ModuleSpec | None = method(name, path, target) if method else None
        if spec is not None:
            return spec
    return None


def _hook(finder: "Finder", spec: "ModuleSpec") -> None:
    loader: Any = spec.loader
    kind = type(loader)
    if kind.__module__ != "_frozen_importlib_external" or kind.__name__ not in _OWN_LOADERS:
        spec.loader = _stand_in(finder, spec)
        return

    def exec_module(module: "ModuleType") -> None:
        loader.__dict__.pop("exec_module", None)
        loader.exec_module(module)
        _patch(finder, spec.name, module)

    loader.exec_module = exec_module


def _stand_in(finder: "Finder", spec: "ModuleSpec") -> "Any":
    """For one run in the place of a loader that may serve other modules too (zipimport, frozen, other projects')."""
    loader: Any = spec.loader

    def step_aside(module: "ModuleType | None") -> None:
        spots = ((spec, "loader"), (getattr(module, "__spec__", None), "loader"), (module, "__loader__"))
        for holder, attribute in spots:
            if getattr(holder, attribute, None) is stand_in:
                setattr(holder, attribute, loader)

    def exec_module(_: object, module: "ModuleType") -> None:
        step_aside(module)
        loader.exec_module(module)
        _patch(finder, spec.name, module)

    def load_module(_: object, name: str) -> "ModuleType":
        step_aside(None)
        module: ModuleType = loader.load_module(name)
        _patch(finder, name, module)
        return module

    methods: dict[str, Any] = {"__getattr__": lambda _, name: getattr(loader, name)}
    if hasattr(loader, "exec_module"):
        methods["exec_module"] = exec_module
    else:  # the old protocol; whoever asks must see that exec_module is absent
        methods["load_module"] = load_module
    stand_in = type(type(loader).__name__, (), methods)()
    return stand_in


def _patch(finder: "Finder", name: str, module: "ModuleType", late: bool = False) -> None:
    """Let the adapter patch the module; whatever that raises, the program's import goes on with the module as it was.

    Runs in the importing thread, between the module's code and the end of its import, and holds no lock of ours.
    """
    before: list[tuple[Any, dict[str, Any]]] = []
    try:
        if name not in finder.hooks:
            return
        before = _state(module)
        adapter = __import__(finder.hooks[name], fromlist=("patch",))
        if late:
            adapter.patch(module, late=True)
        else:
            adapter.patch(module)
        finder.patched[name] = module
        finder.failed.pop(name, None)
    except BaseException as error:  # a SystemExit too: this is somebody's import statement (AGT-7)
        _restore(before)
        finder.failed[name] = f"{type(error).__name__}: {error}"
        _say(f"{name} is left as it is: its adapter failed ({finder.failed[name]})")


def _state(module: "ModuleType") -> "list[tuple[Any, dict[str, Any]]]":
    """The namespaces that a patch may change, and what is in them: the module's and its own classes'."""
    classes = [value for value in vars(module).values() if isinstance(value, type)]
    own = [value for value in classes if value.__module__ == module.__name__]
    return [(owner, dict(vars(owner))) for owner in (module, *own)]


def _restore(before: "list[tuple[Any, dict[str, Any]]]") -> None:
    for owner, names in before:
        now = dict(vars(owner))
        try:
            for name in now.keys() - names.keys():
                delattr(owner, name)
            for name, value in names.items():
                if name not in now or now[name] is not value:
                    setattr(owner, name, value)
        except BaseException:  # noqa: S110 - a class that refuses the way back refused the change
            pass


def _say(message: str) -> None:
    """One line on stderr, by hand: the agent's own log is part of what may have failed."""
    try:
        sys.stderr.write(f"[superstream] WARNING boot: {message}\n")
    except BaseException:  # noqa: S110 - a closed stderr is no reason to fail an import
        pass
