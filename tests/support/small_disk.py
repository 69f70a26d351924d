"""A disk of a few megabytes, for what happens when one is full. It takes root, who may mount a tmpfs."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def small_disk(megabytes: int) -> Iterator[Path]:
    """Yield an empty disk, where any user may enter; skip the test where none can be mounted."""
    place = Path(tempfile.mkdtemp(prefix="usersplit-disk-"))
    try:
        mount = ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", str(place)]
        if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
            pytest.skip("a full disk needs root on Linux, who may mount one")
        try:
            yield place
        finally:
            # Lazily: a server may have a file of it open still.
            subprocess.run(["umount", "--lazy", str(place)], check=True)
    finally:
        place.rmdir()


def filled(disk: Path) -> Path:
    """Take all the room there is on the disk; return the file that takes it."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(bytes(4096)):
            pass
    return ballast
