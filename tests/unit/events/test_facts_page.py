"""What docs/facts.md shows is true."""

import re
from pathlib import Path

from events.errors import EventsError

PAGE = (Path(__file__).parents[3] / "docs" / "facts.md").read_text(encoding="utf-8")


def test_the_upcaster_of_the_page_brings_an_old_payload_to_the_present() -> None:
    (example,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    names: dict[str, object] = {"__name__": "example"}

    exec(compile(example, "docs/facts.md", "exec"), names)  # noqa: S102 - that is what examples are for; it asserts

    assert "measure_brightness" in names


def test_the_errors_of_the_page_exist() -> None:
    named = set(re.findall(r"`([A-Z][a-z]+(?:Fact|Payload))`", PAGE))

    assert named == {"UnknownFact", "CorruptPayload"}
    assert all(name in (EventsError.__doc__ or "") for name in named)
