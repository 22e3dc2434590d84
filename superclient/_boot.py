"""What runs at interpreter start: the kill switch, and one import finder that patches the Kafka libraries.

Every Python program of the machine pays for this file, so it imports sys and os and nothing else, and does no more than
insert the finder. What patches a library is named here as a string and imported when the library is (AGT-3, AGT-8).
"""

import os
import sys

TYPE_CHECKING = False  # typing's own flag would cost the import of typing
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType
    from typing import Any

TRUE_WORDS = ("true", "1", "yes", "on")
MARKER = "superclient finder"

# The module that defines the producer class: the adapter package that patches it.
HOOKS: "dict[str, str]" = {
    "kafka.producer.kafka": "superclient.agent.adapters.kafka_python",
    "aiokafka.producer.producer": "superclient.agent.adapters.aiokafka",
    "confluent_kafka.cimpl": "superclient.agent.adapters.confluent",
}

# Loaders that the import system makes anew for each module, so that one may carry a hook without touching another's.
_OWN_LOADERS = ("SourceFileLoader", "SourcelessFileLoader", "ExtensionFileLoader")


def activate() -> None:
    """Install the finder unless it is there or switched off, and patch what is imported already; never raises."""
    try:
        if not disabled() and installed() is None:
            finder = Finder(HOOKS)
            sys.meta_path.insert(0, finder)
            finder.catch_up()
    except BaseException:  # noqa: S110 - raising, or a SystemExit, would end every Python program of the machine
        pass


def disabled() -> bool:
    """Whether SUPERSTREAM_DISABLED switches the agent off."""
    return os.environ.get("SUPERSTREAM_DISABLED", "").strip().lower() in TRUE_WORDS


def installed() -> "Finder | None":
    """The finder on sys.meta_path, whichever copy of this module put it there (a .pth may run twice)."""
    for finder in sys.meta_path:
        if getattr(type(finder), "marker", None) == MARKER:
            return finder  # type: ignore[return-value]
    return None


def stand_down() -> None:
    """Keep the agent out of this process, one of our own commands: the finder stays as the marker and hooks nothing."""
    finder = installed()
    if finder is None:
        finder = Finder({})
        sys.meta_path.insert(0, finder)
    finder.hooks = {}


class Finder:
    """Finds nothing itself: lets the other finders find a hooked module, and has it patched once it has executed."""

    marker = MARKER

    def __init__(self, hooks: "dict[str, str]") -> None:
        self.hooks = hooks
        self.patched: dict[str, ModuleType] = {}
        self.failed: dict[str, str] = {}
        self._finding: set[str] = set()

    def find_spec(
        self, name: str, path: "Sequence[str] | None" = None, target: "ModuleType | None" = None
    ) -> "ModuleSpec | None":
        """The spec that the other finders have for a hooked module, its execution hooked; None for all others."""
        if name not in self.hooks:
            return None
        # Other import hooks ask the whole of sys.meta_path again from within. The import system calls finders with its
        # global lock held, so that one set serves every thread.
        if name in self._finding or disabled():
            return None
        self._finding.add(name)
        try:
            spec = self._ask_others(name, path, target)
        finally:
            self._finding.discard(name)
        if spec is not None and spec.loader is not None:
            _hook(self, spec)
        return spec

    def _ask_others(self, name: str, path: "Sequence[str] | None", target: "ModuleType | None") -> "ModuleSpec | None":
        finders = list(sys.meta_path)
        if self in finders:  # those before this one have had their turn
            del finders[: finders.index(self) + 1]
        for finder in finders:
            find_spec = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = find_spec(name, path, target) if find_spec else None
            if spec is not None:
                return spec
        return None

    def catch_up(self) -> None:
        """Patch the hooked modules that were imported before the finder was there."""
        for name in list(self.hooks):
            if name in sys.modules:
                __import__(name)  # waits where another thread is still executing it
                module = sys.modules[name]
                executing = getattr(getattr(module, "__spec__", None), "_initializing", False)
                if not executing and self.patched.get(name) is not module:
                    self.patch(name, module, late=True)

    def patch(self, name: str, module: "ModuleType", late: bool = False) -> None:
        """Let the adapter patch the module; whatever that raises, the module is left as it was and used as it is."""
        before: list[tuple[Any, dict[str, Any]]] = []
        try:
            before = _state(module)
            adapter = __import__(self.hooks[name], fromlist=("patch",))
            if late:
                adapter.patch(module, late=True)
            else:
                adapter.patch(module)
            self.patched[name] = module
            self.failed.pop(name, None)
        except BaseException as error:
            self.failed[name] = f"{type(error).__name__}: {error}"
            _restore(before)
            _say(f"{name} is left as it is: its adapter failed ({self.failed[name]})")


class _Hook:
    """Runs in the place of a loader's exec_module, once: takes itself away, executes the module, has it patched.

    Where a loader serves more than one module (zipimport, frozen modules, loaders of other projects) it stands in for
    the whole loader, until then, and passes everything else on.
    """

    def __init__(self, finder: Finder, spec: "ModuleSpec") -> None:
        self.finder = finder
        self.spec = spec
        self.loader: Any = spec.loader
        self.__qualname__ = getattr(self.loader, "__qualname__", type(self.loader).__qualname__)

    def __getattr__(self, name: str) -> "Any":
        if name in ("loader", "finder", "spec"):  # asked before __init__, by copy or pickle
            raise AttributeError(name)
        return getattr(self.loader, name)

    def exec_module(self, module: "ModuleType") -> None:
        self._step_aside(module)
        self.loader.exec_module(module)
        self.finder.patch(self.spec.name, module)

    def _step_aside(self, module: "ModuleType | None") -> None:
        own = getattr(self.loader, "__dict__", {})
        if getattr(own.get("exec_module"), "__self__", None) is self:
            del self.loader.exec_module
        for holder, attribute in (
            (self.spec, "loader"),
            (getattr(module, "__spec__", None), "loader"),
            (module, "__loader__"),
        ):
            if getattr(holder, attribute, None) is self:
                setattr(holder, attribute, self.loader)


class _LegacyHook(_Hook):
    """The same for a loader of the old protocol, which has load_module alone."""

    @property
    def exec_module(self) -> "Any":
        raise AttributeError("exec_module")

    def load_module(self, name: str) -> "ModuleType":
        self._step_aside(None)
        module: ModuleType = self.loader.load_module(name)
        self._step_aside(module)
        self.finder.patch(name, module)
        return module


def _hook(finder: Finder, spec: "ModuleSpec") -> None:
    """Hook the execution that this spec is for, so that spec and loader look as ever to whoever only asks for them."""
    holder: Any = spec
    loader: Any = spec.loader
    kind = type(loader)
    if kind.__module__ == "_frozen_importlib_external" and kind.__name__ in _OWN_LOADERS:
        loader.exec_module = _Hook(finder, spec).exec_module
    elif hasattr(loader, "exec_module"):
        holder.loader = _Hook(finder, spec)
    else:
        holder.loader = _LegacyHook(finder, spec)


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
        except BaseException:  # noqa: S110 - a class that refuses changes had none
            pass


def _say(message: str) -> None:
    """One line on stderr, by hand: the agent's own log is part of what may have failed."""
    try:
        sys.stderr.write(f"[superstream] WARNING boot: {message}\n")
    except BaseException:  # noqa: S110 - a closed stderr is no reason to fail an import
        pass
