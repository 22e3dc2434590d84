"""What a fresh interpreter sees of the agent and of one library; `superclient doctor` runs this file in a child.

The child is a program like any other: nothing of superclient is imported here, so that what is found was loaded by the
interpreter's own start. Prints one JSON object.
"""

import json
import os
import sys
from typing import Any


def agent() -> dict[str, Any]:
    """Whether the finder is installed, from where, and which entries there are that would install it."""
    import site
    from importlib.metadata import PackageNotFoundError, version

    package = sys.modules.get("superclient")
    folders = [entry for entry in [*site.getsitepackages(), site.getusersitepackages()] if entry in sys.path]
    try:
        wrapt = version("wrapt")
    except PackageNotFoundError:
        wrapt = ""
    return {
        "python": "%d.%d.%d" % sys.version_info[:3],  # noqa: UP031 - short
        "implementation": sys.implementation.name,
        "finder": _finder() is not None,
        "package": os.path.dirname(getattr(package, "__file__", None) or ""),
        "pth": [entry for entry in folders if os.path.isfile(os.path.join(entry, "superclient.pth"))],
        "pythonpath": [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if _is_entry(entry)],
        "wrapt": wrapt,
    }


def _is_entry(folder: str) -> bool:
    """Whether this entry of PYTHONPATH has a sitecustomize of superclient's: the package's folder, or a checkout."""
    if not folder or not os.path.isfile(os.path.join(folder, "sitecustomize.py")):
        return False
    inside = os.path.basename(folder) == "_site" and os.path.basename(os.path.dirname(folder)) == "superclient"
    return inside or os.path.isfile(os.path.join(folder, "superclient", "_boot.py"))


def library(name: str, hooked: str) -> dict[str, Any]:
    """The library's version and codecs, whether the agent patched the module that it hooks, and what it left out."""
    try:
        package = __import__(hooked.partition(".")[0])
        __import__(hooked)
    except BaseException as error:  # a library that does not import is what the caller wants to know
        return {"version": "", "error": f"{type(error).__name__}: {error}"}
    finder = _finder()
    found: dict[str, Any] = {
        "version": str(getattr(package, "__version__", "")),
        "error": "",
        "patched": finder is not None and hooked in finder.patched,
        "patch_error": (finder.failed.get(hooked) or "") if finder is not None else "",
    }
    features = sys.modules.get("superclient.agent.features")  # the agent's, if it is there
    found["features_off"] = [list(each[1:]) for each in features.missing()] if features is not None else []
    found["codecs"] = _codecs(name)
    if name == "kafka-python":
        import importlib.util

        found["crc32c"] = importlib.util.find_spec("crc32c") is not None
    return found


def _codecs(name: str) -> list[str]:
    if name == "confluent-kafka":
        return [codec for codec in ("gzip", "snappy", "lz4", "zstd") if _librdkafka_has(codec)]
    package = "kafka" if name == "kafka-python" else "aiokafka"
    module = __import__(f"{package}.codec", fromlist=["codec"])
    # An old release has no word about a codec that it does not know.
    return [codec for codec in ("gzip", "snappy", "lz4", "zstd") if getattr(module, f"has_{codec}", bool)()]


def _librdkafka_has(codec: str) -> bool:
    """librdkafka refuses a codec that it was built without."""
    from confluent_kafka import KafkaException, Producer

    try:
        Producer({"compression.type": codec, "log_level": 0, "client.id": "superstreamlib-probe"})
    except KafkaException:
        return False
    return True


def _finder() -> Any:
    return next((each for each in sys.meta_path if getattr(type(each), "superclient", False) is True), None)


if __name__ == "__main__":
    print(json.dumps(library(*sys.argv[1:]) if sys.argv[1:] else agent()), flush=True)
    os._exit(0)  # what a library's threads still do is of no interest
