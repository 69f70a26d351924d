"""Whether a browser was made to ask by another site: the guard of everything that a cookie opens.

Browsers say themselves where a request comes from, in headers that no page can set: `Sec-Fetch-Site`, and `Origin` in
every POST and for every web socket. A session's cookie counts for a change only where they speak for us, so that no
secret has to be carried through forms.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing."""

_THIS_MACHINE: Final = frozenset({"localhost", "127.0.0.1", "::1"})


def is_our_own(headers: Mapping[str, str], *, public_url: str = "") -> bool:
    """Return whether the browser says that a page of this very site asks.

    Args:
        headers: of the request, with names in lower case (or in any case, where the mapping does not mind).
        public_url: under which address people see us, where a proxy changes `Host`.
    """
    site = headers.get("sec-fetch-site")
    if site is not None and site not in {"same-origin", "none"}:
        return False
    origin = headers.get("origin")
    if origin is None:
        return site is not None
    try:
        asked = urlsplit(origin).netloc.lower()
        ours = {headers.get("host", "").lower(), urlsplit(public_url).netloc.lower()} - {""}
    except ValueError:
        return False
    return bool(asked) and asked in ours


def is_foreign(headers: Mapping[str, str], *, public_url: str = "") -> bool:
    """Return whether a browser says that a page of another site asks. Programs, which say nothing, are not foreign."""
    says_something = "sec-fetch-site" in headers or "origin" in headers
    return says_something and not is_our_own(headers, public_url=public_url)


def own_address(target: str) -> str:
    """Return an address of this site, the first page where `target` leads to another one."""
    try:
        parts = urlsplit(target)
    except ValueError:
        return "/"
    is_own = not parts.scheme and not parts.netloc and target.startswith("/") and not target.startswith(("//", "/\\"))
    return target if is_own and target.isprintable() else "/"


def is_safe_address(url: str) -> bool:
    """Return whether what is sent there stays secret: https, or this very machine."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in _THIS_MACHINE))
