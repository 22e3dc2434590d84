"""Public names of a package that are imported when they are first used (PEP 562). Imports nothing itself."""

TYPE_CHECKING = False  # typing's own flag would cost the import of typing
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


def lazily(
    package: dict[str, object], names: "Mapping[str, str]"
) -> "tuple[Callable[[str], object], Callable[[], list[str]]]":
    """`__getattr__` and `__dir__` of a package.

    Args:
        package: its globals().
        names: public name → the module that defines it.
    """

    def get(name: str) -> object:
        if name not in names:
            raise AttributeError(f"module {package['__name__']!r} has no attribute {name!r}")
        value: object = getattr(__import__(names[name], fromlist=(name,)), name)
        package[name] = value
        return value

    return get, lambda: sorted({*package, *names})
