"""Rows that go to the driver as tuples hold moments as SQLAlchemy would write and read them."""

from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy.dialects.sqlite import dialect

from events.database import UtcDateTime
from projections.rows import moment_of_text, text_of_moment

SQLITE: Any = dialect()
WRITE: Any = UtcDateTime().dialect_impl(SQLITE).bind_processor(SQLITE)
FIRST = datetime(1, 1, 2, tzinfo=UTC)
SECONDS = int((datetime(9998, 1, 1, tzinfo=UTC) - FIRST).total_seconds())


@given(
    st.builds(timedelta, seconds=st.integers(0, SECONDS), microseconds=st.integers(0, 999_999)).map(FIRST.__add__),
    st.timezones() | st.just(UTC),
)
@example(datetime(2026, 5, 3, 14, 5, 7, tzinfo=UTC), UTC)
@example(datetime(2026, 5, 3, 14, 5, 7, 120, tzinfo=UTC), UTC)
def test_a_moment_is_written_as_sqlalchemy_writes_it_and_read_again(moment: datetime, zone: Any) -> None:
    text = text_of_moment(moment.astimezone(zone))
    assert text == WRITE(moment)
    assert moment_of_text(text) == moment
