"""Five SDKs of other platforms, each fed the same tests from memory and offline, as a service of theirs would ask them.

What a service makes once per visitor (a user object, a context) is made beforehand; only the check is timed. Attributes
come to each SDK in the form that it takes fastest.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import eppo_client
import ldclient
from growthbook import GrowthBook
from ldclient.integrations import Files
from statsig_python_core import DynamicConfigEvaluationOptions, Statsig, StatsigOptions, StatsigUser
from statsig_python_core.data_store import DataStore, DataStoreResponse
from UnleashClient import UnleashClient  # type: ignore[attr-defined] # it exports by being imported
from UnleashClient.cache import FileCache

from benchmarks.peers.same_tests import VARIANT, SameTest

Profiles = Sequence[dict[str, Any]]


class Peer:
    """One SDK with its tests and its users.

    Attributes:
        name: of its package.
        answers: (key, number of a user) to the variant, "" for none.
        ask_all: asks for every test of every user of a range, in a loop of its own; what is timed.
        close: ends it.
    """

    def __init__(
        self,
        name: str,
        answers: Callable[[str, int], str],
        ask_all: Callable[[range], None],
        close: Callable[[], object] = lambda: None,
    ) -> None:
        self.name = name
        self.answers = answers
        self.ask_all = ask_all
        self.close = close


def eppo(tests: Sequence[SameTest], users: Profiles) -> Peer:
    """Return eppo-server-sdk, whose core is Rust."""

    def one_of(attribute: str, *values: object) -> dict[str, Any]:
        return {"attribute": attribute, "operator": "ONE_OF", "value": [str(value) for value in values]}

    flags = {
        test.key: {
            "key": test.key,
            "enabled": True,
            "variationType": "STRING",
            "variations": {VARIANT: {"key": VARIANT, "value": VARIANT}},
            "totalShards": 10000,
            "allocations": [
                {
                    "key": "all",
                    "doLog": False,
                    "rules": [
                        {"conditions": [one_of("is_test_user", "true")]},
                        {"conditions": [one_of("country_id", *test.countries), one_of("is_new_user", "true")]},
                    ],
                    "splits": [
                        {
                            "variationKey": VARIANT,
                            "shards": [{"salt": test.key, "ranges": [{"start": 0, "end": 10000}]}],
                        }
                    ],
                }
            ],
        }
        for test in tests
    }
    document = {
        "createdAt": "2026-05-01T00:00:00.000Z",
        "format": "SERVER",
        "environment": {"name": "production"},
        "flags": flags,
    }
    client = eppo_client.init(
        eppo_client.ClientConfig(
            api_key="none",
            assignment_logger=eppo_client.AssignmentLogger(),
            poll_interval_seconds=None,
            initial_configuration=eppo_client.Configuration(flags_configuration=json.dumps(document).encode()),
        )
    )
    ask, keys, ids = client.get_string_assignment, [test.key for test in tests], [str(n) for n in range(len(users))]
    # It compares texts: a number would be made one in every check, a tenth of its time.
    profiles: list[dict[str, Any]] = [
        {name: value if isinstance(value, bool) else str(value) for name, value in profile.items()} for profile in users
    ]

    def ask_all(numbers: range) -> None:
        for number in numbers:
            name, profile = ids[number], profiles[number]
            for key in keys:
                ask(key, name, profile, "")

    return Peer("eppo-server-sdk", lambda key, number: str(ask(key, ids[number], profiles[number], "")), ask_all)


def growthbook(tests: Sequence[SameTest], users: Profiles) -> Peer:
    """Return growthbook."""
    features = {
        test.key: {
            "defaultValue": "",
            "rules": [
                {
                    "condition": {
                        "$or": [
                            {"is_test_user": True},
                            {"country_id": {"$in": list(test.countries)}, "is_new_user": True},
                        ]
                    },
                    "key": test.key,
                    "hashAttribute": "id",
                    "variations": [VARIANT, "blue"],
                    "weights": [1.0, 0.0],
                }
            ],
        }
        for test in tests
    }
    client = GrowthBook(features=features)
    attributes = [{"id": str(number), **profile} for number, profile in enumerate(users)]
    keys = [test.key for test in tests]

    def answers(key: str, number: int) -> str:
        client.set_attributes(attributes[number])
        return str(client.get_feature_value(key, ""))

    def ask_all(numbers: range) -> None:
        ask = client.get_feature_value
        for number in numbers:
            client.set_attributes(attributes[number])
            for key in keys:
                ask(key, "")

    return Peer("growthbook", answers, ask_all, client.destroy)


class _Specs(DataStore):
    def __init__(self, specs: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # the package brings no types for it
        self._specs = specs

    def get(self, key: str) -> DataStoreResponse:  # noqa: ARG002 - the store's contract
        return DataStoreResponse(result=self._specs, time=1)


def statsig(tests: Sequence[SameTest], users: Profiles) -> Peer:
    """Return statsig-python-core, whose core is Rust."""
    conditions: dict[str, dict[str, Any]] = {}

    def any_of(field: str, *values: object) -> str:
        name = f"{field}-{len(conditions)}"
        conditions[name] = {
            "type": "user_field",
            "field": field,
            "operator": "any",
            "targetValue": [str(value) for value in values],
            "additionalValues": {},
            "idType": "userID",
        }
        return name

    def rule(name: str, *needed: str) -> dict[str, Any]:
        return {
            "name": name,
            "groupName": name,
            "id": name,
            "salt": name,
            "passPercentage": 100,
            "conditions": list(needed),
            "returnValue": {"variant": VARIANT},
            "idType": "userID",
        }

    configs = {
        test.key: {
            "name": test.key,
            "type": "dynamic_config",
            "entity": "dynamic_config",
            "salt": test.key,
            "enabled": True,
            "defaultValue": {},
            "idType": "userID",
            "rules": [
                rule("testers", any_of("is_test_user", "true")),
                rule("new", any_of("country_id", *test.countries), any_of("is_new_user", "true")),
            ],
        }
        for test in tests
    }
    empty: dict[str, Any] = {}
    specs = {
        "dynamic_configs": configs,
        "condition_map": conditions,
        "has_updates": True,
        "time": 1,
        **dict.fromkeys(("feature_gates", "layer_configs", "layers", "param_stores", "id_lists", "sdk_configs"), empty),
        **dict.fromkeys(("diagnostics", "experiment_to_layer", "hashed_sdk_keys_to_entities"), empty),
    }
    options = StatsigOptions(
        data_store=_Specs(json.dumps(specs)),
        disable_network=True,
        disable_all_logging=True,
        disable_country_lookup=True,
        enable_id_lists=False,
        output_log_level="error",
    )
    client = Statsig("secret-none", options)
    client.initialize().wait()
    visitors = [StatsigUser(user_id=str(number), custom=dict(profile)) for number, profile in enumerate(users)]
    ask, keys = client.get_dynamic_config, [test.key for test in tests]
    unlogged = DynamicConfigEvaluationOptions(disable_exposure_logging=True)

    def ask_all(numbers: range) -> None:
        for number in numbers:
            visitor = visitors[number]
            for key in keys:
                ask(visitor, key, unlogged)

    def answers(key: str, number: int) -> str:
        return str(ask(visitors[number], key, unlogged).get_string("variant", ""))

    return Peer("statsig-python-core", answers, ask_all, lambda: client.shutdown().wait())


def unleash(tests: Sequence[SameTest], users: Profiles) -> Peer:
    """Return UnleashClient, whose core is Rust."""

    def among(name: str, *values: object) -> dict[str, Any]:
        return {"contextName": name, "operator": "IN", "values": [str(value) for value in values]}

    def strategy(group: str, *constraints: dict[str, Any]) -> dict[str, Any]:
        return {
            "name": "flexibleRollout",
            "parameters": {"rollout": "100", "stickiness": "userId", "groupId": group},
            "constraints": list(constraints),
            "variants": [{"name": VARIANT, "weight": 1000, "stickiness": "userId"}],
        }

    toggles = [
        {
            "name": test.key,
            "type": "experiment",
            "enabled": True,
            "strategies": [
                strategy(test.key, among("is_test_user", "true")),
                strategy(test.key, among("country_id", *test.countries), among("is_new_user", "true")),
            ],
            "variants": [],
        }
        for test in tests
    ]
    directory = tempfile.TemporaryDirectory()
    cache = FileCache("check", directory=directory.name)
    cache.bootstrap_from_dict({"version": 2, "features": toggles})
    client = UnleashClient("http://localhost", "check", cache=cache, disable_metrics=True, disable_registration=True)
    client.initialize_client(fetch_toggles=False)
    contexts = [
        {"userId": str(number), "properties": {name: str(value).lower() for name, value in profile.items()}}
        for number, profile in enumerate(users)
    ]
    ask, keys = client.get_variant, [test.key for test in tests]

    def ask_all(numbers: range) -> None:
        for number in numbers:
            context = contexts[number]
            for key in keys:
                ask(key, context)

    def answers(key: str, number: int) -> str:
        given = ask(key, contexts[number])
        return str(given["name"]) if given["enabled"] else ""

    def close() -> None:
        client.destroy()
        directory.cleanup()

    return Peer("UnleashClient", answers, ask_all, close)


def launchdarkly(tests: Sequence[SameTest], users: Profiles) -> Peer:
    """Return launchdarkly-server-sdk."""

    def among(attribute: str, *values: object) -> dict[str, Any]:
        return {"attribute": attribute, "op": "in", "values": list(values), "negate": False}

    def rule(name: str, *clauses: dict[str, Any]) -> dict[str, Any]:
        return {"id": name, "clauses": list(clauses), "rollout": {"variations": [{"variation": 1, "weight": 100_000}]}}

    yes = [True]
    flags = {
        test.key: {
            "key": test.key,
            "version": 1,
            "on": True,
            "variations": ["", VARIANT],
            "offVariation": 0,
            "fallthrough": {"variation": 0},
            "salt": test.key,
            "prerequisites": [],
            "targets": [],
            "rules": [
                rule("testers", among("is_test_user", *yes)),
                rule("new", among("country_id", *test.countries), among("is_new_user", *yes)),
            ],
        }
        for test in tests
    }
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "flags.json"
        path.write_text(json.dumps({"flags": flags, "segments": {}}))
        source = Files.new_data_source(paths=[str(path)])
        client = ldclient.LDClient(
            ldclient.Config("none", update_processor_class=source, send_events=False, diagnostic_opt_out=True)
        )
    contexts = []
    for number, profile in enumerate(users):
        builder = ldclient.Context.builder(str(number))
        for name, value in profile.items():
            builder.set(name, value)
        contexts.append(builder.build())
    ask, keys = client.variation, [test.key for test in tests]

    def ask_all(numbers: range) -> None:
        for number in numbers:
            context = contexts[number]
            for key in keys:
                ask(key, context, "")

    def answers(key: str, number: int) -> str:
        return str(ask(key, contexts[number], ""))

    return Peer("launchdarkly-server-sdk", answers, ask_all, client.close)


PEERS = (eppo, growthbook, statsig, unleash, launchdarkly)
