#!/usr/bin/env python3
"""Installs the real Kafka and Redis that the tests start.

Java, Maven and redis-server come from Debian when absent, Kafka's jars from Maven Central. Standard library only: it
runs before anything else is installed. Running it again costs nothing.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
POM = ROOT / "scripts" / "kafka" / "pom.xml"
KAFKA_VERSION = "4.3.1"
OLD_KAFKA_VERSION = "3.9.1"  # the last one before 4.0, for the matrix
CLASS_ARCHIVE = "classes.jsa"
PACKAGES = {"java": "default-jre-headless", "mvn": "maven", "redis-server": "redis-server"}


def cache_folder() -> Path:
    """Where downloads live: outside the tracked files, shared by all sessions of a checkout."""
    return Path(os.environ.get("SUPERCLIENT_TEST_CACHE") or ROOT / ".cache").resolve()


def kafka_libraries(version: str = KAFKA_VERSION) -> Path:
    """The folder with the broker's jars; it exists only when it is complete."""
    return cache_folder() / "kafka" / version


def say(text: str) -> None:
    print(f"install_servers: {text}", file=sys.stderr)


def install_commands(commands: list[str]) -> None:
    """Debian's packages of the commands that are absent; exits with one clear line where that is not possible."""
    install_packages([PACKAGES[command] for command in commands if shutil.which(command) is None])


def install_packages(missing: list[str]) -> None:
    """As above, by the packages' own names."""
    if not missing:
        return
    names = " ".join(missing)
    privileged = [] if os.geteuid() == 0 else ["sudo", "-n"]
    if shutil.which("apt-get") is None or (privileged and shutil.which("sudo") is None):
        sys.exit(f"install_servers: please install {names} (or their like on this system), then run this again")
    say(f"installing the Debian packages {names}")
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = [*privileged, "apt-get", "install", "-y", "-q", "--no-install-recommends", *missing]
    for command in ([*privileged, "apt-get", "update", "-q"], install):
        if subprocess.run(command, env=environment, stdout=sys.stderr, check=False).returncode != 0:
            sys.exit(
                f"install_servers: `{' '.join(command)}` failed; please install {names} by hand, then run this again"
            )


def download_kafka(version: str) -> Path:
    """The broker's jars in the cache; their folder appears whole or not at all, also when this is killed."""
    target = kafka_libraries(version)
    if target.is_dir():
        say(f"Kafka {version} is in the cache")
        return target
    install_commands(["java", "mvn"])
    say(f"downloading Kafka {version} with Maven")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        jars = Path(folder) / "jars"
        command = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        command += [f"-Dkafka.version={version}", f"-DoutputDirectory={jars}"]
        if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
            sys.exit(f"install_servers: Maven could not download Kafka {version} (see above)")
        jars.rename(target)
    say(f"Kafka {version}: {len(list(target.glob('*.jar')))} jars in the cache")
    return target


# --- a quick start ----------------------------------------------------------------------------------------------------

_WARM_UP = """
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
log.dirs={folder}/data
"""


def archive_classes(jars: Path) -> None:
    """Starts the broker once and keeps its loaded classes (JDK class-data sharing): later starts take half the time."""
    archive = jars / CLASS_ARCHIVE
    if archive.exists():
        return
    say("preparing quick starts of the broker")
    with tempfile.TemporaryDirectory(dir=jars.parent) as folder:
        port, controller = unused_port(), unused_port()
        properties, made = Path(folder, "server.properties"), Path(folder, CLASS_ARCHIVE)
        properties.write_text(_WARM_UP.format(port=port, controller=controller, folder=folder))
        java = ["java", "-Xmx512m", "-XX:+UseSerialGC", "-cp", f"{jars}/*"]
        tool = [*java, "kafka.tools.StorageTool", "format", "-t", "c3VwZXJjbGllbnQtdGVzdA", "-c", str(properties)]
        server = [*java, f"-XX:ArchiveClassesAtExit={made}", "kafka.Kafka", str(properties)]
        subprocess.run(tool, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        process = subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            wait_for_port(port, process)
        finally:
            process.terminate()
            process.wait(60)
        made.rename(archive)


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    """Returns when somebody listens there, or after 60 s, or when the process has ended."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kafka", action="append", metavar="VERSION", help=f"broker version (default {KAFKA_VERSION})")
    parser.add_argument("--every-kafka", action="store_true", help="every broker version that the tests know")
    parser.add_argument("--debian", action="append", metavar="PACKAGE", help="install only this Debian package")
    options = parser.parse_args()
    if options.debian:
        install_packages(options.debian)
        return
    versions = [KAFKA_VERSION, OLD_KAFKA_VERSION] if options.every_kafka else options.kafka or [KAFKA_VERSION]
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / "install.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two sessions that start together download once
        install_commands(["redis-server"])
        for version in versions:
            jars = download_kafka(version)
            install_commands(["java"])
            try:
                archive_classes(jars)
            except (OSError, subprocess.SubprocessError) as problem:
                say(f"no quick starts ({problem}); everything works without them")


if __name__ == "__main__":
    main()
