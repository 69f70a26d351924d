"""From facts to the rows of the dimensions: a fold over the history of every split test and user group."""

from dataclasses import dataclass, field, replace

from consumers.user_group_dimension_facts import UserGroupFold
from events.facts import (
    CodeDeployed,
    DraftDiscarded,
    PropertiesEdited,
    SettingsGroupPreparationFailed,
    SettingsGroupPreparationRetried,
    SettingsGroupPrepared,
    SettingsGroupProposed,
    SplitTestCreated,
    SplitTestFact,
    SplitTestFinished,
    SplitTestPublished,
    SplitTestRejected,
    SplitTestStarted,
)
from events.store import RecordedFact
from projections.changelog_entries import kept_of
from projections.changelog_sentences import Before, tell
from projections.split_test_facts import STATUS_AFTER, of_split_tests
from warehouse.dimensions import (
    ChangeRow,
    DimensionRows,
    SettingsGroupRow,
    SplitGroupRow,
    SplitTestRow,
    VariantRow,
)


@dataclass(slots=True)
class _Test:
    """What is known of a test: its rows, and what the next sentence needs of the facts before."""

    row: SplitTestRow
    position: int = 0
    settings_groups: dict[int, SettingsGroupRow] = field(default_factory=dict)
    controls: dict[int, set[str]] = field(default_factory=dict)
    before: Before = field(default_factory=Before)


class DimensionFold:
    """Takes facts in, in order within each test, and gives the rows that changed."""

    def __init__(self) -> None:
        self._tests: dict[str, _Test] = {}
        # Of a discarded test only where it ended: what comes again from before that is known.
        self._ended: dict[str, int] = {}
        self._new = _NewRows()
        self._user_groups = UserGroupFold()

    def apply(self, recorded: RecordedFact) -> None:
        """Take a fact in. One that came before, one of nothing that has rows, and one without a beginning are none.

        Total: odd orders of facts lead to odd rows, not to errors.
        """
        self._user_groups.apply(recorded)
        if not of_split_tests([recorded]):
            return
        fact: SplitTestFact = recorded.fact
        test = self._tests.get(fact.key)
        known = test.position if test else self._ended.get(fact.key, 0)
        if recorded.position <= known:
            return
        if isinstance(fact, SplitTestCreated):
            test = self._tests[fact.key] = _created(fact, recorded)
        if test is None:
            return
        test.position = recorded.position
        if isinstance(fact, DraftDiscarded):
            self._ended[fact.key] = recorded.position
            del self._tests[fact.key]
            self._new.discard(fact.key)
            return
        self._change(test, fact, recorded)
        self._tell(test, fact, recorded)

    def take(self) -> DimensionRows:
        """Return the rows that changed since the last call."""
        rows, self._new = self._new.rows(), _NewRows()
        return replace(rows, **self._user_groups.take())

    def _change(self, test: _Test, fact: SplitTestFact, recorded: RecordedFact) -> None:  # noqa: C901 - a case a fact
        at = recorded.recorded_at
        match fact:
            case SettingsGroupProposed():
                self._put(test, _proposed(fact, recorded))
                test.controls[fact.settings_group] = {one.name for one in fact.variants if one.is_control}
            case SettingsGroupPrepared():
                self._prepare(test, fact, recorded)
            case SettingsGroupPreparationFailed() | SettingsGroupPreparationRetried():
                failed = isinstance(fact, SettingsGroupPreparationFailed)
                if (group := test.settings_groups.get(fact.settings_group)) is not None:
                    self._put(test, replace(group, state="failed" if failed else "proposed"))
            case PropertiesEdited():
                edited = {change.name: change.after for change in fact.changes}
                row = test.row
                test.row = replace(
                    row,
                    name=edited.get("name", row.name),
                    type=edited.get("type", row.type),
                    issue_key=edited.get("issue_key", row.issue_key),
                )
            case CodeDeployed():
                test.row = replace(test.row, code_deployed_at=test.row.code_deployed_at or fact.occurred_at)
            case SplitTestPublished():
                test.row = replace(test.row, published_at=at)
            case SplitTestStarted():
                test.row = replace(test.row, started_at=test.row.started_at or at)
            case SplitTestFinished():
                test.row = replace(test.row, ended_at=at, resulting_variant=fact.resulting_variant)
            case SplitTestRejected():
                test.row = replace(test.row, ended_at=at)
            case _:
                pass
        test.row = replace(test.row, status=STATUS_AFTER.get(type(fact), test.row.status))
        self._new.split_tests[fact.key] = test.row

    def _prepare(self, test: _Test, fact: SettingsGroupPrepared, recorded: RecordedFact) -> None:
        number = fact.settings_group
        if (group := test.settings_groups.get(number)) is not None:
            self._put(
                test,
                replace(group, state="prepared", prepared_at=recorded.recorded_at, kept_groups=fact.kept_groups),
            )
        test.row = replace(test.row, settings_group=number)
        for variant in fact.variants:
            self._new.variants[fact.key, number, variant.name] = VariantRow(
                test_key=fact.key,
                settings_group=number,
                variant=variant.name,
                is_control=variant.name in test.controls.get(number, ()),
                groups=len(variant.split_groups),
                users=variant.users,
            )
            for split_group in variant.split_groups:
                self._new.split_groups[fact.key, number, split_group] = SplitGroupRow(
                    test_key=fact.key, settings_group=number, split_group=split_group, variant=variant.name
                )

    def _put(self, test: _Test, group: SettingsGroupRow) -> None:
        test.settings_groups[group.settings_group] = group
        self._new.settings_groups[group.test_key, group.settings_group] = group

    def _tell(self, test: _Test, fact: SplitTestFact, recorded: RecordedFact) -> None:
        kept = kept_of(fact)
        told = tell(kept, test.before)
        test.before = test.before.after(kept)
        self._new.changes[recorded.position] = ChangeRow(
            position=recorded.position,
            changed_at=recorded.recorded_at,
            actor=recorded.actor,
            test_key=fact.key,
            kind=type(fact).__name__,
            settings_group=getattr(fact, "settings_group", test.row.settings_group),
            sentence=told.sentence,
        )


class _NewRows:
    """Rows that were not taken yet, each once: the newest of its key."""

    def __init__(self) -> None:
        self.discarded: set[str] = set()
        self.split_tests: dict[str, SplitTestRow] = {}
        self.settings_groups: dict[tuple[str, int], SettingsGroupRow] = {}
        self.variants: dict[tuple[str, int, str], VariantRow] = {}
        self.split_groups: dict[tuple[str, int, int], SplitGroupRow] = {}
        self.changes: dict[int, ChangeRow] = {}

    def discard(self, key: str) -> None:
        self.discarded.add(key)
        self.split_tests.pop(key, None)
        self.settings_groups = {place: row for place, row in self.settings_groups.items() if row.test_key != key}
        self.variants = {place: row for place, row in self.variants.items() if row.test_key != key}
        self.split_groups = {place: row for place, row in self.split_groups.items() if row.test_key != key}
        self.changes = {place: row for place, row in self.changes.items() if row.test_key != key}

    def rows(self) -> DimensionRows:
        return DimensionRows(
            discarded=sorted(self.discarded),
            split_tests=list(self.split_tests.values()),
            settings_groups=list(self.settings_groups.values()),
            variants=list(self.variants.values()),
            split_groups=list(self.split_groups.values()),
            changes=list(self.changes.values()),
        )


def _created(fact: SplitTestCreated, recorded: RecordedFact) -> _Test:
    return _Test(
        SplitTestRow(
            test_key=fact.key,
            name=fact.name,
            type=fact.type,
            author=fact.author,
            issue_key=fact.issue_key,
            status="draft",
            settings_group=0,
            created_at=recorded.recorded_at,
            published_at=None,
            code_deployed_at=None,
            started_at=None,
            ended_at=None,
            resulting_variant="",
        )
    )


def _proposed(fact: SettingsGroupProposed, recorded: RecordedFact) -> SettingsGroupRow:
    return SettingsGroupRow(
        test_key=fact.key,
        settings_group=fact.settings_group,
        state="proposed",
        proposed_at=recorded.recorded_at,
        proposed_by=recorded.actor,
        prepared_at=None,
        starts_at=fact.starts_at,
        ends_at=fact.ends_at,
        conditions=fact.conditions,
        kept_groups=0,
    )
