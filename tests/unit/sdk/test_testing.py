"""The client in memory for tests of services, and the pytest plugin that gives it."""

from collections.abc import Iterator

import pytest

from usersplit import Guest, MalformedConfig, User
from usersplit.testing import MemoryUserSplit, split_test_document, user_group_document

ADA, BEN = User(id=1, split_group=1), User(id=2, split_group=2400)


@pytest.fixture
def client() -> Iterator[MemoryUserSplit]:
    with MemoryUserSplit() as client:
        yield client


def test_nobody_gets_a_variant_of_a_test_that_nobody_forced(client: MemoryUserSplit) -> None:
    assert client.get_active_variant("green_button", ADA) is None
    client.assert_no_hit()


def test_a_forced_variant_is_everybodys_and_its_hits_are_counted(client: MemoryUserSplit) -> None:
    client.force("green_button", "red")
    assert {client.get_active_variant("green_button", unit) for unit in (ADA, BEN, Guest(id="g", split_group=7))} == {
        "red"
    }
    client.assert_hit("green_button", "red", ADA, times=1)
    client.assert_hit("green_button", "red", "guest:g")
    assert len(client.assert_hit("green_button")) == 3
    client.force("green_button", "control")
    assert client.get_active_variant("green_button", ADA) == "control"
    client.force("green_button", None)
    assert client.get_active_variant("green_button", ADA) is None
    assert client.explain("green_button", ADA).reason == "split_group_not_in_test"


def test_a_unit_without_a_split_group_is_no_better_off_than_in_production(client: MemoryUserSplit) -> None:
    client.force("green_button", "red")
    assert client.get_active_variant("green_button", Guest(split_group=0)) is None
    assert client.explain("green_button", Guest(split_group=0)).reason == "no_split_group"


def test_one_unit_is_forced_as_qa_does_it(client: MemoryUserSplit) -> None:
    client.put(split_test_document("green_button", variants={"control": range(1, 2401), "red": ()}))
    client.force("green_button", "red", BEN)
    client.force("never_made", "blue", "user:1")
    assert client.get_active_variant("green_button", ADA) == "control"
    assert client.get_active_variant("green_button", BEN) == "red"
    assert client.get_active_variant("never_made", ADA) == "blue"
    assert client.get_active_variant("never_made", BEN) is None
    assert [hit.forced for hit in client.logged_hits()] == [False, True, True]
    client.force("green_button", None, ADA)
    assert client.get_active_variant("green_button", ADA) is None


def test_all_tests_can_be_switched_off_for_a_unit_but_some(client: MemoryUserSplit) -> None:
    client.force("green_button", "red")
    client.force("pricing", "cheap")
    client.disable_all(ADA, but=["pricing"])
    assert client.active_variants(ADA) == {"pricing": "cheap"}
    assert client.active_variants(BEN) == {"green_button": "red", "pricing": "cheap"}


def test_a_user_group_has_everybody_or_nobody(client: MemoryUserSplit) -> None:
    assert not client.is_in_group("staff", ADA)
    client.set_group("staff", everybody=True)
    assert client.is_in_group("staff", ADA)
    client.set_group("staff", everybody=False)
    assert not client.is_in_group("staff", ADA)


def test_variants_share_the_split_groups_equally() -> None:
    document = split_test_document("pricing", variants=["control", "a", "b"])
    assert [len(variant["split_groups"]) for variant in document["variants"]] == [800, 800, 800]
    assert [variant["is_control"] for variant in document["variants"]] == [True, False, False]
    with MemoryUserSplit([document]) as client:
        given = [client.get_active_variant("pricing", User(id=n, split_group=n)) for n in range(1, 2401)]
    assert {name: given.count(name) for name in ("control", "a", "b")} == {"control": 800, "a": 800, "b": 800}


def test_a_document_can_say_anything_that_a_servers_can() -> None:
    condition = {"filter": "country", "operator": "in", "value": ["DE"]}
    filters = {"country": {"type": "string", "scope": "environment"}}
    documents = [
        split_test_document("green_button", status="in_dev"),
        user_group_document("germans", conditions=[condition], filters=filters),
    ]
    with MemoryUserSplit(documents) as client:
        assert client.explain("green_button", ADA).reason == "not_a_test_user"
        assert client.explain_group("germans", ADA).reason == "conditions_not_met"
        with pytest.raises(MalformedConfig):
            client.put(split_test_document("green_button", status="asleep"))


def test_a_failed_assertion_shows_what_was_logged(client: MemoryUserSplit) -> None:
    with pytest.raises(AssertionError, match=r"a hit of pricing, found 0\. No hit was logged\."):
        client.assert_hit("pricing")
    client.force("green_button", "red", ADA)
    client.get_active_variant("green_button", ADA)
    with pytest.raises(AssertionError) as raised:
        client.assert_hit("green_button", "blue", BEN)
    assert str(raised.value) == (
        "Expected a hit of green_button with the variant blue for user:2, found 0. Logged:\n"
        "  green_button red user:1 (forced)"
    )
    with pytest.raises(AssertionError, match=r"2 hits of green_button, found 1\."):
        client.assert_hit("green_button", times=2)
    with pytest.raises(AssertionError, match="no hit of any test"):
        client.assert_no_hit()
    client.assert_no_hit("pricing")
    client.assert_no_hit("green_button", "red", BEN)


PLUGIN = ("-p", "usersplit._pytest_plugin", "-p", "no:cacheprovider")
SUITE = """
    import pytest
    from usersplit import User
    from usersplit.testing import split_test_document

    ADA = User(id=1, split_group=1)

    def variant(split_tests):
        return split_tests.get_active_variant("green_button", ADA)
"""


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a place for a stranger's tests, with no plugin but ours."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return pytester


def test_the_fixture_forces_and_asserts_and_starts_anew_in_each_test(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        SUITE
        + """
    def test_forced(split_tests):
        split_tests.force("green_button", "red")
        assert variant(split_tests) == "red"
        split_tests.assert_hit("green_button", "red", ADA)

    def test_not_forced(split_tests):
        assert variant(split_tests) is None
        split_tests.assert_no_hit()

    def test_wrong(split_tests):
        split_tests.assert_hit("green_button")
    """
    )
    outcome = suite.runpytest(*PLUGIN)
    outcome.assert_outcomes(passed=2, failed=1)
    outcome.stdout.fnmatch_lines(["*Expected a hit of green_button, found 0. No hit was logged."])


def test_the_marker_forces_and_the_closest_one_wins(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        SUITE
        + """
    pytestmark = pytest.mark.variant("green_button", "red")

    def test_of_the_module(split_tests):
        assert variant(split_tests) == "red"

    @pytest.mark.variant("green_button", "blue")
    @pytest.mark.variant(key="pricing", variant="cheap")
    def test_of_its_own(split_tests):
        assert split_tests.active_variants(ADA) == {"green_button": "blue", "pricing": "cheap"}

    @pytest.mark.variant("green_button")
    def test_misused(split_tests):
        pass
    """
    )
    outcome = suite.runpytest(*PLUGIN, "--strict-markers")
    outcome.assert_outcomes(passed=2, errors=1)
    outcome.stdout.fnmatch_lines(["*missing 1 required positional argument: 'variant'"])


def test_a_whole_run_gets_a_variant_by_the_option(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        SUITE
        + """
    def test_of_the_option(split_tests):
        assert variant(split_tests) == "red"

    @pytest.mark.variant("green_button", "blue")
    def test_of_the_marker(split_tests):
        assert variant(split_tests) == "blue"
    """
    )
    suite.runpytest(*PLUGIN, "--variant", "green_button=red").assert_outcomes(passed=2)
    wrong = suite.runpytest(*PLUGIN, "--variant", "green_button")
    assert wrong.ret != 0
    wrong.stderr.fnmatch_lines(["*'green_button' is not KEY=VARIANT"])


def test_a_suite_can_give_documents_from_the_start(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        SUITE
        + """
    @pytest.fixture
    def split_tests_settings():
        return {"documents": [split_test_document("green_button")], "environment_name": "devel"}

    def test_started_with_it(split_tests):
        assert variant(split_tests) in ("control", "variant")
        assert {hit.environment for hit in split_tests.logged_hits()} == {"devel"}
    """
    )
    suite.runpytest(*PLUGIN).assert_outcomes(passed=1)
