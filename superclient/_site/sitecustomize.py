"""Starts the agent where no .pth is read: this folder on PYTHONPATH (`superclient run`, Lambda layers, pip --target).

PYTHONPATH reaches every Python that the program starts, so this file is written for any version, Python 2 included,
does nothing in a Python that it was not meant for, and hands over to the sitecustomize that it shadows.
"""

import os
import sys

_folder = os.path.dirname(os.path.abspath(__file__))
_home = _folder if os.path.isdir(os.path.join(_folder, "superclient")) else os.path.dirname(os.path.dirname(_folder))
_meant_for = os.environ.get("_SUPERCLIENT_RUN_PYTHON")  # set by `superclient run`

if _meant_for is not None:
    _same = _meant_for == "%d.%d %s" % (sys.version_info[0], sys.version_info[1], sys.prefix)  # noqa: UP031
elif os.path.basename(_home) in ("site-packages", "dist-packages"):
    _same = _home in sys.path  # else they are another Python's
else:
    _same = sys.version_info >= (3, 10)

if _same:
    try:
        if not any(os.path.isfile(os.path.join(entry, "superclient", "_boot.py")) for entry in sys.path):
            sys.path.append(_home)  # last: it makes superclient importable and shadows nothing
        import superclient  # noqa: F401
    except BaseException:  # noqa: S110 - nothing the agent does at start may end the program
        pass

# As if this file did not exist: the next sitecustomize takes its place in sys.modules, and where there is none, the
# import error is the one that the interpreter expects. (The module is held because Python 2 would empty it.)
_self = sys.modules.pop(__name__, None)
_before = sys.path[:]
sys.path[:] = [entry for entry in _before if os.path.abspath(entry) != _folder]
_gone = [(index, entry) for index, entry in enumerate(_before) if os.path.abspath(entry) == _folder]
try:
    import sitecustomize  # noqa: F401
finally:
    for _index, _entry in _gone:
        sys.path.insert(_index, _entry)
