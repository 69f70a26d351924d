"""The SDK as services get it: a wheel with its schema and its types, that works without this tree."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

SDK = Path(__file__).parents[3] / "sdk"


def test_the_built_wheel_brings_the_schema_and_works_alone(tmp_path: Path) -> None:
    source = tmp_path / "sdk"
    shutil.copytree(SDK, source, ignore=shutil.ignore_patterns("__pycache__", "dist"))
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path / "dist")]
    subprocess.run(build, cwd=source, check=True, capture_output=True, timeout=60)
    (wheel,) = (tmp_path / "dist").glob("usersplit-*.whl")
    target = tmp_path / "target"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    assert (target / "usersplit" / "schemas" / "hit.avsc").is_file()
    assert (target / "usersplit" / "py.typed").is_file()
    script = (
        "import usersplit, usersplit.conditions;"
        "from usersplit.hits import Hit, decode_hit, encode_hit;"
        "assert decode_hit(encode_hit(Hit(unit_id='42'))).unit_id == '42';"
        "print(usersplit.__file__, usersplit.__version__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path,
        env={"PYTHONPATH": str(target)},
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    path, version = done.stdout.split()
    assert Path(path).is_relative_to(target)
    assert wheel.name.startswith(f"usersplit-{version}-")
