"""Bring a version to a machine, or say which one it runs.

ship.py MACHINE URL            the version that DETENTE_VERSION names
ship.py MACHINE URL --back     the one that DETENTE_PREVIOUS names
ship.py MACHINE URL --which    print what runs there
"""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path


def running(url: str) -> str:
    try:
        with urllib.request.urlopen(f"{url}/version", timeout=2) as answer:
            return answer.read().decode()
    except OSError:
        return ""


def settled(machine: Path) -> str:
    """The version that runs there alone, once the one before it has gone."""
    try:
        return (machine / "settled").read_text()
    except OSError:
        return ""


def ship(machine: Path, url: str, version: str) -> None:
    place = machine / "releases" / version
    if not place.is_dir():
        fresh = place.with_name(f".{version}.{os.getpid()}")
        fresh.mkdir(parents=True)
        archive = subprocess.run(["git", "archive", version], check=True, capture_output=True)
        subprocess.run(["tar", "-x", "-C", str(fresh)], input=archive.stdout, check=True)
        fresh.rename(place)
    link = machine / f".current.{os.getpid()}"
    link.symlink_to(place)
    link.replace(machine / "current")
    os.kill(int((machine / "pid").read_text()), signal.SIGHUP)
    until = time.monotonic() + 20
    while settled(machine) != version or running(url) != version:
        if time.monotonic() > until:
            sys.exit(f"{version} did not come up at {url}; {running(url) or 'nothing'} runs there")
        time.sleep(0.1)
    print(f"{version} runs at {url}")


def main() -> None:
    machine, url = Path(sys.argv[1]), sys.argv[2]
    if "--which" in sys.argv:
        print(running(url))
        return
    version = os.environ["DETENTE_PREVIOUS" if "--back" in sys.argv else "DETENTE_VERSION"]
    ship(machine, url, version)


if __name__ == "__main__":
    main()
