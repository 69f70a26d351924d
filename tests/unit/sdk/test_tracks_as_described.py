"""Each sample of the text that describes the package `tracks` runs as it stands there, with `usersplit.tracks`.

The text is its page on PyPI: https://pypi.org/project/tracks/0.1.1. Only the indentation, which the page lost, and the
parts that it leaves out (the page of the coconut store, its database) were added.
"""

import random
import textwrap
from collections import Counter
from typing import Any

import pytest

from usersplit import tracks

DELAYS = """
    class DelayTracks(tracks.SimpleTrackSet):
        @staticmethod
        def short_track():
            time.sleep(0.5)

        @staticmethod
        def long_track():
            time.sleep(2)
"""
SIMPLE_PRICES = """
    class PricingTracks(tracks.SimpleTrackSet):
        @staticmethod
        def expensive_track(response):
            for coconut in response['coconuts']:
                coconut['price'] += 1

        @staticmethod
        def cheap_track(response):
            for coconut in response['coconuts']:
                coconut['price'] -= 1
"""
PRICES = """
    class PricingTracks(tracks.ParamTrackSet):
        params = [{'price_delta': n} for n in range(-5, 6)]
        add_control_track = False  # {'price_delta': 0} is our control group

        @staticmethod
        def track_name(price_delta):
            return 'price_adjusted_by_{0}'.format(price_delta)

        @staticmethod
        def track(response, price_delta):
            for coconut in response['coconuts']:
                coconut['price'] += price_delta
"""
NOT_FOR_VIPS = """
    class DelayTracks(tracks.SimpleTrackSet):
        @property
        def is_eligible(self):
            return not self.context['user']['is_vip']

        @staticmethod
        def short_track():
            time.sleep(0.5)

        @staticmethod
        def long_track():
            time.sleep(2)
"""


class Store:
    """The coconut store: a page with prices, a clock that only remembers, and a table of test runs."""

    def __init__(self) -> None:
        self.rows: list[tuple[Any, ...]] = []
        self.slept: list[float] = []
        self._page = ""
        self.names: dict[str, Any] = {
            "tracks": tracks,
            "time": self,
            "cur": self,
            "render_coconut_catalog": lambda: {"coconuts": [{"price": 10}, {"price": 20}]},
            "user_id": 42,
        }

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def execute(self, statement: str, *parameters: Any) -> None:
        assert statement.startswith("INSERT INTO test_runs")
        self.rows.append(parameters[0] if isinstance(parameters[0], tuple) else parameters)

    def define(self, sample: str) -> None:
        exec(textwrap.dedent(sample), self.names)  # noqa: S102 - the samples are what is tested

    def serve(self, sample: str) -> Any:
        """Run the code of one page, which ends in `return response`."""
        self.slept = []
        page = "def page():\n" + textwrap.indent(textwrap.dedent(sample).strip(), "    ")
        if page != self._page:
            self._page = page
            exec(page, self.names)  # noqa: S102 - as above
        return self.names["page"]()


@pytest.fixture
def store() -> Store:
    return Store()


WAITS = {"control": [], "short": [0.5], "long": [2]}


def test_a_class_of_variants_and_a_with_block(store: Store) -> None:
    store.define(DELAYS)
    shown = set()
    for _ in range(100):
        store.serve("""
            response = render_coconut_catalog()
            with DelayTracks() as track:
                track()
            cur.execute('INSERT INTO test_runs (user_id, variant) VALUES (%s, %s)', user_id, track.name)
            return response
        """)
        user_id, variant = store.rows[-1]
        assert (user_id, store.slept) == (42, WAITS[variant])
        shown.add(variant)
    assert shown == {"control", "short", "long"}


def test_the_page_without_tracks_does_the_same_by_hand(store: Store) -> None:
    store.names["random"] = random
    store.serve("""
        response = render_coconut_catalog()
        test_value = random.random()
        if test_value < (1 / 3):
            # control group
            sleep_sec = 0
        elif test_value < (2 / 3):
            sleep_sec = 0.5
        else:
            sleep_sec = 2
        time.sleep(sleep_sec)
        cur.execute('INSERT INTO test_runs (user_id, variant) VALUES (%s, %s)', user_id, sleep_sec)
        return response
    """)
    assert store.rows[-1][1] in (0, 0.5, 2)


@pytest.mark.parametrize("classes", [SIMPLE_PRICES, PRICES], ids=["methods", "parameters"])
def test_variants_that_are_given_what_they_change(store: Store, classes: str) -> None:
    store.define(classes)
    seen = set()
    for _ in range(300):
        response = store.serve("""
            response = render_coconut_catalog()
            with PricingTracks() as track:
                track(response)
            cur.execute('INSERT INTO test_runs (user_id, variant) VALUES (%s, %s)', user_id, track.name)
            return response
        """)
        variant, prices = store.rows[-1][1], [coconut["price"] for coconut in response["coconuts"]]
        named = {"control": 0, "expensive": 1, "cheap": -1}
        delta = named[variant] if variant in named else int(variant.removeprefix("price_adjusted_by_"))
        assert prices == [10 + delta, 20 + delta]
        seen.add(delta)
    assert seen == ({-1, 0, 1} if classes is SIMPLE_PRICES else set(range(-5, 6)))


def test_a_key_locks_the_variant(store: Store) -> None:
    store.define(DELAYS)
    for store.names["user_id"] in (1, "ada", ("RU", 7), 3.5, None):
        for _ in range(5):
            store.serve("""
                response = render_coconut_catalog()
                with DelayTracks(key=user_id) as track:
                    track()
                cur.execute('INSERT INTO test_runs (user_id, variant) VALUES (%s, %s)', user_id, track.name)
                return response
            """)
    shown: dict[object, set[str]] = {}
    for user_id, variant in store.rows:
        shown.setdefault(user_id, set()).add(variant)
    assert all(len(variants) == 1 for user_id, variants in shown.items() if user_id is not None)


@pytest.mark.parametrize("add_control_track", [True, False])
def test_important_users_are_not_tested_on(store: Store, *, add_control_track: bool) -> None:
    store.define(NOT_FOR_VIPS)
    store.names["DelayTracks"].add_control_track = add_control_track
    for is_vip in (True, False):
        store.names["user_dict"] = {"is_vip": is_vip}
        for _ in range(20):
            store.serve("""
                response = render_coconut_catalog()
                with DelayTracks(context={'user': user_dict}) as track:
                    track()  # will always be control for VIPs (even with `add_control_group = False`)
                if track.is_eligible:
                    cur.execute('INSERT INTO test_runs (user_id, variant) VALUES (%s, %s)', (user_id, track.name))
                return response
            """)
            assert not (is_vip and store.slept)
        assert bool(store.rows) is not is_vip
    expected = {"short", "long"} | ({"control"} if add_control_track else set())
    assert {variant for _, variant in store.rows} <= expected


def test_several_tests_run_at_the_same_time(store: Store) -> None:
    # The text's two tests want different arguments; here both take what they need.
    store.define(DELAYS.replace("_track():", "_track(response):"))
    store.define(PRICES)
    store.define("tracksets = [DelayTracks, PricingTracks]")
    sample = """
        response = render_coconut_catalog()
        with tracks.MultiTrackSet(tracksets, key=user_id) as multitrack:
            multitrack(response)
        cur.execute(
            'INSERT INTO test_runs (user_id, test, variant) VALUES (%s, %s)',
            (user_id, multitrack.trackset.name, multitrack.track.name),
        )
        return response
    """

    def chosen() -> Counter[str]:
        store.rows.clear()
        for store.names["user_id"] in range(1000):
            store.serve(sample)
        return Counter(test for _, test, _ in store.rows)

    even = chosen()
    assert 400 < even["DelayTracks"] < 600
    again = list(store.rows)
    chosen()
    assert store.rows == again, "the key decides"
    # "We could also set DelayTracks.weight to 1000 to make that one ten times as likely to be used"
    store.names["DelayTracks"].weight = 1000
    uneven = chosen()
    assert 8 < uneven["DelayTracks"] / uneven["PricingTracks"] < 13
