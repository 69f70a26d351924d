"""The condition builder: AND, OR and brackets by clicks, or as text; whatever is edited, the other shows it."""

from collections.abc import Callable, Sequence
from typing import Any, Final

from nicegui import ui

from usersplit.conditions import Catalog, ConditionsError, Filter
from web import condition_tree
from web.condition_tree import Group, Node, Question
from web.conditions_shown import filter_label, operator_word
from web.refusals import sentence

_MOMENT_LENGTH: Final = 16


class ConditionBuilder:
    """Edits a document of conditions.

    Args:
        document: what to begin with; unfinished conditions are fine.
        catalog: the filters there are.
        changed: told of every change, with the document as it is then.
    """

    def __init__(self, document: list[Any], catalog: Catalog, changed: Callable[[list[Any]], None]) -> None:
        self._catalog = catalog
        self._changed = changed
        self._tree = Group()
        self._marks: dict[int, ui.label] = {}
        self._places: dict[int, tuple[ui.element, ui.toggle]] = {}
        self._shown = ""
        self.is_understood = True
        """Whether what was typed as text is conditions; if not, `document` is what was there before."""
        try:
            self._tree = condition_tree.from_document(document, catalog)
        except ConditionsError:
            self._tree = condition_tree.unfinished(document, catalog)
        with ui.element("div").classes("us-stack").style("gap: 10px"):
            self._clicks = ui.element("div").classes("us-tight")
            with ui.expansion("As text", icon="code").classes("w-full").style("width: 100%") as text:
                self._text = (
                    ui.textarea("JSON of the conditions; [] is everybody", on_change=self._take_text)
                    .without_auto_validation()
                    .props("outlined autogrow input-class=mono spellcheck=false debounce=300")
                    .style("width: 100%")
                )
            text.on_value_change(self._unfold)
        self._draw()

    @property
    def document(self) -> list[Any]:
        """The conditions as they are now."""
        return condition_tree.to_document(self._tree)

    def show_problem(self, path: str, problem: str) -> bool:
        """Show what is wrong beside the condition at `path`, and say whether there is one; no problem takes it back."""
        found = False
        for question in condition_tree.questions(self._tree):
            mark = self._marks[id(question)]
            place = question.path
            here = bool(problem) and (path == place or path.startswith((f"{place}.", f"{place}[")))
            mark.text = (problem if "".join(question.values) else "Give it a value.") if here else ""
            found = found or here
        return found

    def _draw(self) -> None:
        self._clicks.clear()
        self._places.clear()
        self._marks.clear()
        with self._clicks:
            self._group(self._tree, None)

    def _tell(self, changed: Group | None = None) -> None:
        """Draw the brackets anew whose nodes have changed, and tell of the document as it is now.

        Their buttons stay, so that nobody's next click is lost because it came too soon.
        """
        if changed is not None:
            self._fill(changed)
        self._show_text()
        self._changed(self.document)

    def _group(self, group: Group, parent: Group | None) -> None:
        with ui.element("div").classes("us-group").props('role=group aria-label="Conditions in brackets"'):
            nodes = ui.element("div").classes("us-tight")
            with ui.element("div").classes("us-row"):
                ui.button("Condition", icon="add", on_click=lambda: self._add(group)).props("flat dense")
                ui.button("Brackets", icon="data_array", on_click=lambda: self._add_brackets(group)).props("flat dense")
                joint = ui.toggle(
                    {"AND": "all of them (AND)", "OR": "any of them (OR)"},
                    value=group.joint,
                    on_change=lambda event: self._join(group, event.value),
                ).props("no-caps dense unelevated toggle-color=primary")
                if parent is not None:
                    ui.button("No brackets", on_click=lambda: self._take_out(parent, group)).props("flat dense")
                    _icon("delete", "Remove the brackets and what is in them", lambda: self._remove(parent, group))
        self._places[id(group)] = (nodes, joint)
        self._fill(group)

    def _fill(self, group: Group) -> None:
        nodes, joint = self._places[id(group)]
        nodes.clear()
        joint.set_visibility(len(group.nodes) > 1)
        with nodes:
            if not group.nodes:
                ui.label("Everybody" if group is self._tree else "Nothing in these brackets yet").classes("us-muted")
            for place, node in enumerate(group.nodes):
                if place:
                    ui.label(group.joint).classes("us-joint")
                if isinstance(node, Group):
                    self._group(node, group)
                else:
                    self._question(node, group)

    def _question(self, question: Question, parent: Group) -> None:
        definition = self._catalog[question.filter]
        with ui.element("div").classes("us-tight").style("gap: 2px"):
            with ui.element("div").classes("us-question"):
                ui.select(
                    {name: filter_label(each) for name, each in self._catalog.items()},
                    label="Filter",
                    value=question.filter,
                    with_input=True,
                    on_change=lambda event: self._refilter(parent, question, event.value),
                ).props("outlined dense").classes("grow")
                ui.select(
                    {name: operator_word(definition, name) for name in definition.allowed_operators},
                    value=question.operator,
                    on_change=lambda event: self._reoperate(parent, question, event.value),
                ).props('outlined dense aria-label="Operator"').classes("half")
                with ui.element("div").classes("grow"):
                    self._value(question, definition)
                with ui.element("div").classes("us-row").style("gap: 0"):
                    _icon("data_array", "Put it in brackets", lambda: self._bracket(parent, question))
                    _icon("arrow_upward", "Move up", lambda: self._move(parent, question, -1))
                    _icon("delete", "Remove this condition", lambda: self._remove(parent, question))
            self._marks[id(question)] = ui.label().classes("us-error").props("role=alert")

    def _value(self, question: Question, definition: Filter) -> None:
        def take(values: Sequence[str]) -> None:
            question.values = list(values)
            self._tell()

        if definition.type == "boolean":
            chosen = "No" if question.values[:1] in (["No"], ["0"], ["false"]) else "Yes"
            field: Any = ui.select(
                ["Yes", "No"], label="Value", value=chosen, on_change=lambda event: take([event.value or ""])
            )
        elif definition.values:
            labels = dict(definition.values) | {value: definition.values.get(value, value) for value in question.values}
            if question.takes_list:
                field = ui.select(
                    labels,
                    label="Values",
                    value=list(question.values),
                    multiple=True,
                    new_value_mode="add-unique",
                    key_generator=str,
                    on_change=lambda event: take(event.value or []),
                ).props("use-chips")
            else:
                field = ui.select(
                    labels,
                    label="Value",
                    value=question.values[0] if question.values else None,
                    new_value_mode="add-unique",
                    key_generator=str,
                    on_change=lambda event: take([event.value] if event.value else []),
                )
        elif question.takes_list:
            field = ui.input_chips(
                "Values, Enter after each",
                value=list(question.values),
                on_change=lambda event: take(event.value or []),
            ).props("new-value-mode=add-unique")
        else:
            field = ui.input(
                "Value (UTC)" if definition.type == "time" else "Value",
                value=question.values[0][:_MOMENT_LENGTH]
                if definition.type == "time" and question.values
                else "".join(question.values[:1]),
                on_change=lambda event: take([_typed(event.value or "", definition)] if event.value else []),
            )
            if definition.type == "time":
                field.props("type=datetime-local stack-label")
        field.props("outlined dense debounce=250").style("width: 100%")

    def _add(self, group: Group) -> None:
        group.nodes.append(condition_tree.first_question(self._catalog))
        self._tell(group)

    def _add_brackets(self, group: Group) -> None:
        first = condition_tree.first_question(self._catalog)
        group.nodes.append(Group(joint="OR" if group.joint == "AND" else "AND", nodes=[first]))
        self._tell(group)

    def _join(self, group: Group, joint: Any) -> None:
        group.joint = "OR" if joint == "OR" else "AND"
        self._tell(group)

    def _take_out(self, parent: Group, group: Group) -> None:
        condition_tree.take_out_of_brackets(parent, group)
        self._tell(parent)

    def _bracket(self, parent: Group, node: Node) -> None:
        condition_tree.put_in_brackets(parent, node)
        self._tell(parent)

    def _move(self, parent: Group, node: Node, by: int) -> None:
        condition_tree.move(parent, node, by=by)
        self._tell(parent)

    def _remove(self, parent: Group, node: Node) -> None:
        parent.nodes.remove(node)
        self._tell(parent)

    def _refilter(self, parent: Group, question: Question, name: str | None) -> None:
        if name and name != question.filter:
            condition_tree.with_filter(question, name, self._catalog)
            self._tell(parent)

    def _reoperate(self, parent: Group, question: Question, operator: str | None) -> None:
        if operator and operator != question.operator:
            condition_tree.with_operator(question, operator)
            self._tell(parent)

    def _unfold(self) -> None:
        """Show the text when it is unfolded; folded away, text that is no conditions is gone: what is seen counts."""
        was_understood = self.is_understood
        self._show_text()
        if not was_understood:
            self._changed(self.document)

    def _show_text(self) -> None:
        # In this order: a new value tells `_take_text` of itself.
        self._shown = condition_tree.to_json_text(self.document)
        self._text.value = self._shown
        self.is_understood, self._text.error = True, None

    def _take_text(self) -> None:
        if self._text.value == self._shown:
            return
        self._shown = self._text.value or ""
        try:
            tree = condition_tree.from_json_text(self._shown, self._catalog)
        except ConditionsError as error:
            self.is_understood, self._text.error = False, sentence(error)
        else:
            self.is_understood, self._text.error = True, None
            self._tree = tree
            self._draw()
        self._changed(self.document)


def _typed(text: str, definition: Filter) -> str:
    """Return a value as conditions spell it; the field of a moment leaves its zone out, which is UTC here."""
    return f"{text}Z" if definition.type == "time" and len(text) == _MOMENT_LENGTH else text


def _icon(name: str, label: str, act: Callable[[], None]) -> None:
    ui.button(icon=name, on_click=act, color=None).props(f'flat dense round size=sm aria-label="{label}"').tooltip(
        label
    )
