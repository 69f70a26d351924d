"""What the charts of a test show, as options of ECharts; colours work in light and in dark."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from projections.changelog import ChangelogEntry
from warehouse.traffic import Span, VariantTraffic
from web.variants_form import COLORS

_GREY: Final = "#8a94a6"
_WINDOWS: Final[Mapping[str, tuple[str, timedelta, timedelta]]] = {
    "minutes": ("the last 10 minutes", timedelta(minutes=10), timedelta(seconds=10)),
    "hour": ("the last hour", timedelta(hours=1), timedelta(minutes=1)),
    "day": ("the last day", timedelta(days=1), timedelta(minutes=15)),
    "week": ("the last week", timedelta(days=7), timedelta(hours=2)),
    "month": ("the last 30 days", timedelta(days=30), timedelta(hours=8)),
    "year": ("the last year", timedelta(days=364), timedelta(days=4)),
}
WINDOW_NAMES: Final[Mapping[str, str]] = {name: label for name, (label, _, _) in _WINDOWS.items()}
_OF_SETTINGS: Final = ("is prepared and is now the current one", "Started", "Paused", "Resumed", "Finished", "Rejected")


def span_of(window: str, now: datetime, environment: str) -> Span:
    """Return what a window covers, up to now; a window that does not exist is the last day."""
    _, length, bucket = _WINDOWS.get(window, _WINDOWS["day"])
    return Span(since=now - length, until=now, bucket=bucket, environment=environment)


def hits_options(lines: Sequence[VariantTraffic], span: Span, entries: Sequence[ChangelogEntry]) -> dict[str, Any]:
    """Return the chart of hits per variant over time, with the changes of settings as numbered upright lines."""
    variants = list(dict.fromkeys(line.variant for line in lines))
    starts = [start.isoformat() for start in span.starts()]
    series: list[dict[str, Any]] = []
    for place, variant in enumerate(variants):
        summed = [sum(each) for each in zip(*(line.hits for line in lines if line.variant == variant), strict=True)]
        series.append(
            {
                "name": variant,
                "type": "line",
                "showSymbol": False,
                "smooth": 0.2,
                "lineStyle": {"width": 2},
                "itemStyle": {"color": COLORS[place % len(COLORS)]},
                "data": [list(point) for point in zip(starts, summed, strict=True)],
            }
        )
    if series:
        series[0]["markLine"] = {
            "symbol": "none",
            "silent": True,
            "lineStyle": {"type": "dashed", "color": _GREY},
            "label": {"formatter": "{b}", "color": _GREY, "fontSize": 11, "position": "end", "distance": 3},
            "data": [
                {"xAxis": at.isoformat(), "name": str(number)}
                for number, (at, _) in enumerate(marks(entries, span), start=1)
            ],
        }
    return {
        "animation": False,
        "grid": {"left": 56, "right": 20, "top": 56, "bottom": 40},
        "legend": {"top": 4, "textStyle": {"color": _GREY}},
        "tooltip": {"trigger": "axis"},
        "xAxis": {
            "type": "time",
            "min": span.since.isoformat(),
            "max": span.until.isoformat(),
            "axisLabel": {"color": _GREY},
            "axisLine": {"lineStyle": {"color": _GREY}},
        },
        "yAxis": {
            "type": "value",
            "minInterval": 1,
            "axisLabel": {"color": _GREY},
            "splitLine": {"lineStyle": {"color": _GREY, "opacity": 0.25}},
        },
        "series": series,
    }


def marks(entries: Sequence[ChangelogEntry], span: Span) -> list[tuple[datetime, str]]:
    """Return the changes within the span that a jump in the chart may come from, in a few words each."""
    found = []
    for entry in entries:
        word = next((word for word in _OF_SETTINGS if word in entry.sentence), None)
        if word is not None and span.since <= entry.at < span.until:
            is_settings = word == _OF_SETTINGS[0]
            found.append((entry.at, " ".join(entry.sentence.split()[:3]) if is_settings else word))
    return found
