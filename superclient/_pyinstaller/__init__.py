"""Tells PyInstaller, which sees no import by string, what to put into a frozen program that imports superclient."""

import os


def hook_dirs() -> list[str]:
    """The folder of the PyInstaller hooks: the entry point `hook-dirs` of the group `pyinstaller40`."""
    return [os.path.dirname(__file__)]
