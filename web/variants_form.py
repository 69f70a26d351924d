"""The variants of the settings form: names, control, percents that follow each other, or one total split equally."""

from collections.abc import Callable, Mapping
from typing import Final

from nicegui import ui

from domain.percents import percent_text
from web.rendering import html
from web.settings_form import (
    FieldName,
    SettingsForm,
    VariantField,
    add_variant,
    bar_of,
    mark_control,
    shared_equally,
    with_percent,
)

COLORS: Final = ("#5b7cfa", "#2fa36b", "#e0912f", "#a66bdb", "#3aa5c4", "#d65a76", "#8a94a6", "#b1a12d")


class VariantsForm:
    """Edits the variants of a form in place; `edited` is told of every change."""

    def __init__(self, form: SettingsForm, edited: Callable[[], None]) -> None:
        self._form = form
        self._edited = edited
        self._names: list[ui.input] = []
        self._percents: list[ui.input] = []
        self._shares: list[ui.label] = []
        self._is_following = False
        ui.toggle(
            {True: "One total, split equally", False: "A percent for each"},
            value=form.split_equally,
            on_change=lambda event: self._share(bool(event.value)),
        ).props("no-caps unelevated dense toggle-color=primary")
        self._rows = ui.element("div").classes("us-tight")
        self._bar = ui.element("div")
        self._problem = ui.label().classes("us-error").props("role=alert")
        self._draw()

    def show_problems(self, problems: Mapping[FieldName, str], of_variants: Mapping[VariantField, str]) -> None:
        """Show what is wrong with the variants, beside the field where it is of one, and the bar of their shares."""
        self._problem.text = problems.get("variants", "")
        for place, name in enumerate(self._names):
            name.error = of_variants.get((place, "name"))
        for place, percent in enumerate(self._percents):
            percent.error = of_variants.get((place, "percent"))
        if self._total is not None:
            self._total.error = problems.get("total")
        self._bar.clear()
        with self._bar:
            html("bar.html", shares=bar_of(self._form), colors=COLORS)

    def _draw(self) -> None:
        form = self._form
        self._rows.clear()
        self._names, self._percents, self._shares = [], [], []
        self._total: ui.input | None = None
        with self._rows:
            if form.split_equally:
                self._total = ui.input(
                    "Total percent of users",
                    value=form.total_percent,
                    on_change=lambda event: self._retotal(event.value),
                )
                self._total.without_auto_validation().props('outlined dense inputmode=decimal suffix="%"').style(
                    "max-width: 220px"
                )
            for index in range(len(form.variants)):
                self._row(index)
            with ui.element("div").classes("us-row"):
                ui.button("Variant", icon="add", on_click=self._add).props("flat dense")
                ui.button("No control", on_click=lambda: self._control(None)).props("flat dense")

    def _row(self, index: int) -> None:
        variant = self._form.variants[index]
        with ui.element("div").classes("us-row top"):
            name = ui.input("Name", value=variant.name, on_change=lambda event: self._rename(index, event.value or ""))
            self._names.append(name.without_auto_validation().props("outlined dense").classes("grow"))
            if self._form.split_equally:
                self._shares.append(ui.label(shared_equally(self._form)).classes("us-muted").style("min-width: 74px"))
            else:
                percent = ui.input(
                    "Percent", value=variant.percent, on_change=lambda event: self._follow(index, event.value)
                )
                percent.without_auto_validation().props('outlined dense inputmode=decimal suffix="%"').style(
                    "width: 160px"
                )
                self._percents.append(percent)
            ui.checkbox("control", value=variant.control, on_change=lambda event: self._mark(index, event.value))
            ui.button(icon="delete", on_click=lambda: self._remove(index), color=None).props(
                f'flat dense round size=sm aria-label="Remove variant {index + 1}"'
            )

    def _share(self, split_equally: bool) -> None:  # noqa: FBT001 - the value of the toggle
        form = self._form
        form.split_equally = split_equally
        if not split_equally:
            for variant, (_, groups) in zip(form.variants, bar_of(form, split_equally=True), strict=True):
                variant.percent = percent_text(groups)
        self._redraw()

    def _follow(self, index: int, text: str | None) -> None:
        if self._is_following or not with_percent(self._form, index, text or ""):
            self._edited()
            return
        self._is_following = True
        for place, field in enumerate(self._percents):
            if place != index:
                field.value = self._form.variants[place].percent
        self._is_following = False
        self._edited()

    def _retotal(self, text: str | None) -> None:
        self._form.total_percent = (text or "").strip().replace(",", ".")
        for label in self._shares:
            label.text = shared_equally(self._form)
        self._edited()

    def _rename(self, index: int, name: str) -> None:
        self._form.variants[index].name = name
        self._edited()

    def _mark(self, index: int, marked: bool | None) -> None:  # noqa: FBT001 - the value of the checkbox
        if bool(marked) != self._form.variants[index].control:
            self._control(index if marked else None)

    def _control(self, index: int | None) -> None:
        mark_control(self._form, index)
        self._redraw()

    def _add(self) -> None:
        add_variant(self._form)
        self._redraw()

    def _remove(self, index: int) -> None:
        del self._form.variants[index]
        self._redraw()

    def _redraw(self) -> None:
        self._draw()
        self._edited()
