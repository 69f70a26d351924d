import pytest

from web.preview_panel import NotABaseRate, read_base_rate


@pytest.mark.parametrize(
    ("typed", "rate"), [("", None), (" ", None), ("2.5", 0.025), ("2,5 %", 0.025), ("99.9", 0.999)]
)
def test_a_base_rate_is_typed_in_percent(typed: str, rate: float | None) -> None:
    assert read_base_rate(typed) == rate


@pytest.mark.parametrize("typed", ["0", "100", "-1", "nan", "Infinity", "one", "1e9999", "5 5"])
def test_anything_else_is_no_base_rate(typed: str) -> None:
    with pytest.raises(NotABaseRate):
        read_base_rate(typed)
