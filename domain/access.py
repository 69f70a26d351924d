"""Who may do what: everybody creates, managers and superusers edit and steer, and nobody learns of others' Drafts."""

from domain.errors import NotAManager, SplitTestNotFound
from domain.people import Actor, can_manage, can_see
from domain.split_test import SplitTest, Status


def require_visible(state: SplitTest | None, key: str, actor: Actor) -> SplitTest:
    """Return the test that `actor` names.

    Raises:
        SplitTestNotFound: there is none, it was discarded, or it is a Draft that `actor` must not know of.
    """
    if state is None or state.status is Status.DISCARDED:
        raise SplitTestNotFound(key)
    if not can_see(actor, state.status, state.author, state.managers):
        raise SplitTestNotFound(key)
    return state


def require_manager(state: SplitTest | None, key: str, actor: Actor) -> SplitTest:
    """Return the test that `actor` wants to edit or steer.

    Raises:
        SplitTestNotFound: see `require_visible`.
        NotAManager: `actor` sees it, but is neither one of its managers nor a superuser.
    """
    test = require_visible(state, key, actor)
    if not can_manage(actor, test.managers):
        raise NotAManager(key, actor.name, test.managers)
    return test
