"""Files of one directory, each replaced whole or not at all, so that whoever reads one never sees half of it."""

import os
from pathlib import Path

_PART = ".part"


class WholeFiles:
    """The directory, for one process at a time. It is made if it is missing, and rid of what a crash left half done."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.directory.mkdir(parents=True, exist_ok=True)
        for abandoned in self.directory.glob(f".*{_PART}"):
            abandoned.unlink()

    def replace(self, name: str, content: bytes) -> None:
        """Put a new file in the place of `name`. Its contents survive a power cut; its name does after `sync`."""
        # A leading dot: neither a test's file nor one that a service looks at.
        part = self.directory / f".{name}{_PART}"
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(self.directory / name)

    def hold(self, name: str, content: bytes) -> bool:
        """Return whether the file `name` is there with exactly `content`."""
        try:
            return (self.directory / name).read_bytes() == content
        except OSError:
            return False

    def sync(self) -> None:
        """Make the names of the files survive a power cut; their contents do from the moment they have a name."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
