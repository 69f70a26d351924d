import os
from pathlib import Path
from typing import Any

import pytest

from consumers.whole_files import WholeFiles


def test_contents_are_on_the_disk_before_they_have_a_name_and_the_name_is_after_sync(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def noted_fsync(descriptor: int) -> None:
        done.append(f"fsync of {str(Path(f'/proc/self/fd/{descriptor}').readlink()).removeprefix(str(tmp_path))}")
        fsync(descriptor)

    def noted_replace(self: Path, target: Path) -> Any:
        done.append(f"name {target.name}, {self.read_bytes()!r}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(Path, "replace", noted_replace)
    files = WholeFiles(tmp_path)
    files.replace("a.json", b"new")
    assert done == ["fsync of /.a.json.part", "name a.json, b'new'"]
    files.sync()
    assert done[2:] == ["fsync of "]
