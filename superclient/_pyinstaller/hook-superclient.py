"""Names the modules of the agent that are imported by string, and those that they import."""  # noqa: N999 - PyInstaller's

from PyInstaller.utils.hooks import collect_submodules  # type: ignore[import-untyped, unused-ignore]

hiddenimports = [
    "superclient._patching",
    *collect_submodules("superclient.agent"),
    *collect_submodules("superclient.kafka"),
    *collect_submodules("superclient.partitioning"),
]
