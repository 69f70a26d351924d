"""Which tests the list shows: those that a person may see, narrowed by what they look for, a page at a time."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from domain.people import Actor, can_see
from projections.test_list import ListedSplitTest

PAGE_SIZE = 50
STATUSES = ("draft", "in_dev", "running", "paused", "finished", "rejected")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What somebody looks for; everything empty is all tests. It is what stands behind the address's question mark."""

    search: str = ""
    status: str = ""
    type: str = ""
    mine: bool = False
    page: int = 1

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> "Wanted":
        """Return what an address asks for; what it says wrongly counts as not said."""
        page = query.get("page", "")
        status = query.get("status", "")
        return cls(
            search=query.get("search", "")[:200],
            status=status if status in STATUSES else "",
            type=query.get("type", "")[:40],
            mine=query.get("mine", "") == "1",
            page=int(page) if page.isascii() and page.isdigit() and len(page) < 8 else 1,  # noqa: PLR2004 - digits
        )

    def address(self, **changes: str | int) -> str:
        """Return the address of the list that shows this."""
        wanted = replace(self, **changes)  # type: ignore[arg-type]  # names and types are those of the fields
        said = {
            "search": wanted.search,
            "status": wanted.status,
            "type": wanted.type,
            "mine": "1" if wanted.mine else "",
            "page": str(wanted.page) if wanted.page > 1 else "",
        }
        query = urlencode({name: value for name, value in said.items() if value})
        return f"/?{query}" if query else "/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """One page of the list.

    Attributes:
        tests: those on this page, the newest first.
        total: how many there are on all pages together.
        page, pages: which page this is, of how many; 1 of 1 where there is nothing.
        by_status: how many there are of each status, if only the status were left open.
        types: every type there is among the tests that the person may see.
        known: how many tests the person may see at all.
    """

    tests: Sequence[ListedSplitTest]
    total: int
    page: int
    pages: int
    by_status: Mapping[str, int]
    types: Sequence[str]
    known: int


def listing(
    found: Sequence[ListedSplitTest], everything: Sequence[ListedSplitTest], wanted: Wanted, actor: Actor
) -> Listing:
    """Return a page of the list.

    Args:
        found: the tests that match the searched text, newest first.
        everything: all tests.
        wanted: what else they must be.
        actor: who looks: others' Drafts do not exist.
    """
    visible = [test for test in found if is_visible(test, actor)]
    known = [test for test in everything if is_visible(test, actor)]
    narrowed = [
        test
        for test in visible
        if (not wanted.type or test.type == wanted.type) and (not wanted.mine or is_mine(test, actor.name))
    ]
    matching = [test for test in narrowed if not wanted.status or test.status == wanted.status]
    pages = max(-(-len(matching) // PAGE_SIZE), 1)
    page = min(max(wanted.page, 1), pages)
    return Listing(
        tests=matching[(page - 1) * PAGE_SIZE : page * PAGE_SIZE],
        total=len(matching),
        page=page,
        pages=pages,
        by_status=Counter(test.status for test in narrowed),
        types=sorted({test.type for test in known}),
        known=len(known),
    )


def is_mine(test: ListedSplitTest, name: str) -> bool:
    """Say whether somebody wrote or manages the test."""
    return name == test.author or name in test.managers


def is_visible(test: ListedSplitTest, actor: Actor) -> bool:
    """Say whether somebody may know of the test: others' Drafts do not exist."""
    return can_see(actor, test.status, test.author, test.managers)
