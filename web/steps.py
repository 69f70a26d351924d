"""The steps of a test's life as a page offers them: what each is called, and what it will do."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from domain.lifecycle import Action


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of the lifecycle.

    Attributes:
        label: on its button.
        does: what it will do, in a sentence for the person who is about to do it.
        color: of its button, a colour of Quasar's.
    """

    label: str
    does: str
    color: str = "primary"


STEPS: Final[Mapping[Action, Step]] = {
    "publish": Step(
        label="Publish",
        does="Everybody will see the test. Test users get its variants on all servers, whatever its dates say, so that "
        "developers can write and try the code. Nobody else does.",
    ),
    "start": Step(
        label="Start",
        does="Real users get its variants from the start date on, on all servers, within minutes.",
        color="positive",
    ),
    "pause": Step(
        label="Pause",
        does="Nobody gets a variant any more, test users neither, until it is resumed. Users keep their split groups, "
        "so that they come back to the variants they had.",
        color="warning",
    ),
    "resume": Step(label="Resume", does="Users get their variants again, the ones they had before.", color="positive"),
    "finish": Step(
        label="Finish",
        does="One variant becomes the result and is given from now on. No more hits are logged, and this cannot be "
        "taken back.",
    ),
    "reject": Step(
        label="Reject",
        does="The old behaviour stays for everybody, and no variant is given any more. That is not the same as "
        "choosing control. It cannot be taken back.",
        color="negative",
    ),
    "unpublish": Step(
        label="Back to Draft",
        does="Nobody but its author, its managers and superusers sees the test any more, and nobody gets its variants.",
    ),
    "discard": Step(
        label="Discard",
        does="The Draft is thrown away. Its key is free again for another test.",
        color="negative",
    ),
}
