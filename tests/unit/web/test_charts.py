from datetime import UTC, datetime, timedelta

from projections.changelog import ChangelogEntry
from warehouse.traffic import VariantTraffic
from web.charts import WINDOW_NAMES, hits_options, marks, span_of

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)


def entry(sentence: str, *, minutes_ago: int) -> ChangelogEntry:
    at = NOW - timedelta(minutes=minutes_ago)
    return ChangelogEntry(position=1, at=at, actor="ann", key="a", sentence=sentence, changes=())


def test_every_window_ends_now_and_has_no_more_points_than_a_screen() -> None:
    for window in WINDOW_NAMES:
        span = span_of(window, NOW, "production")
        assert span.until == NOW
        assert 50 <= span.buckets <= 100


def test_a_window_that_does_not_exist_is_the_last_day() -> None:
    assert span_of("for ever", NOW, "devel").since == NOW - timedelta(days=1)


def test_the_hits_of_a_variant_are_summed_over_settings_groups() -> None:
    span = span_of("hour", NOW, "production")
    ones = [1] * span.buckets
    lines = [VariantTraffic(settings_group=group, variant="green", hits=ones) for group in (1, 2)]
    (series,) = hits_options(lines, span, [])["series"]
    assert [hits for _, hits in series["data"]] == [2] * span.buckets


def test_changes_within_the_span_are_marked_and_others_are_not() -> None:
    span = span_of("hour", NOW, "production")
    entries = [
        entry("Started the test: status In Dev → Running.", minutes_ago=90),
        entry("Settings group 2 is prepared and is now the current one.", minutes_ago=30),
        entry("Changed the managers: added bob.", minutes_ago=20),
        entry("Paused the test; nobody gets a variant: status Running → Paused.", minutes_ago=10),
    ]
    assert [text for _, text in marks(entries, span)] == ["Settings group 2", "Paused"]
