"""The fields of a test's properties, with what is wrong beside each of them."""

from collections.abc import Mapping
from typing import Final

from nicegui import ui
from nicegui.elements.mixins.validation_element import ValidationElement

from domain import errors
from domain.errors import RuleBroken

TYPES: Final = ("web", "mobile", "server", "email")
_FIELD_OF: Final[Mapping[type[RuleBroken], str]] = {
    errors.WrongKey: "key",
    errors.KeyTaken: "key",
    errors.NameMissing: "name",
    errors.WrongType: "type",
    errors.WrongText: "description",
    errors.WrongManagerName: "managers",
    errors.TooManyManagers: "managers",
    errors.LastManager: "managers",
    errors.NoSuchManager: "managers",
}


class PropertiesForm:
    """Name, type, issue, chat room and description; for a new test its key and further managers too."""

    def __init__(self, values: Mapping[str, str], *, is_new: bool) -> None:
        self._fields: dict[str, ValidationElement[str | None]] = {}
        if is_new:
            self._add(
                "key", ui.input("Key", placeholder="green_button").props('hint="What code uses; it stays for ever"')
            )
        self._add("name", ui.input("Name", value=values.get("name", "")))
        known = dict.fromkeys([*TYPES, values.get("type", "web")])
        self._add("type", ui.select(list(known), label="Type", value=values.get("type", "web"), new_value_mode="add"))
        self._add("issue_key", ui.input("Issue", value=values.get("issue_key", ""), placeholder="WEB-123"))
        self._add("chat_room", ui.input("Chat room", value=values.get("chat_room", ""), placeholder="#green-button"))
        self._add(
            "description",
            ui.textarea("What is tested, and why", value=values.get("description", "")).props("autogrow"),
        )
        if is_new:
            self._add("managers", ui.input("Further managers", placeholder="ann, bob"))
        self._problem = ui.label().classes("us-error").props("role=alert")

    def values(self) -> dict[str, str]:
        """Return what is in the fields."""
        return {name: str(field.value or "") for name, field in self._fields.items()}

    def show(self, error: Exception, text: str) -> None:
        """Show `text` beside the field that the error is about, or below all of them where it is about none."""
        self.clear()
        name = _field_of(error)
        field = self._fields.get(name)
        if field is None:
            self._problem.text = text
            return
        field.error = text
        field.run_method("focus")

    def clear(self) -> None:
        """Take back what was shown as wrong."""
        self._problem.text = ""
        for field in self._fields.values():
            field.error = None

    def _add(self, name: str, field: ValidationElement[str | None]) -> None:
        field.classes("w-full").props("outlined dense").style("width: 100%")
        self._fields[name] = field


def _field_of(error: Exception) -> str:
    if isinstance(error, errors.TextTooLong | errors.NotOneLine | errors.WrongText):
        said = str(error)
        return next((name for name in ("issue_key", "chat_room", "description", "name") if name in said), "description")
    return next((name for kind, name in _FIELD_OF.items() if isinstance(error, kind)), "")
