"""Which live servers have not laid out the newest configs, where that can be told."""

import logging
from collections.abc import Mapping, Sequence
from typing import Final

from sqlalchemy import Connection

from projections import laid_out
from projections.errors import ProjectionsError

_LOG: Final = logging.getLogger(__name__)


def late_servers(connection: Connection, keys: Sequence[str] | None = None) -> Mapping[str, Sequence[str]]:
    """Return the servers that miss the newest document, by its name; `keys` are the tests asked about, None is all.

    None are named while the documents to compare with wait to be rebuilt for a new release: no page should be held up
    by its red marks, least of all the one on which an operator rebuilds.
    """
    try:
        return laid_out.not_laid_out(connection, keys)
    except ProjectionsError as error:
        _LOG.warning("it is not known which servers are late: %s", error)
        return {}
