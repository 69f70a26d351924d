"""The cookie that keeps a guest's split group and id: plain or signed."""

import base64
import hashlib
import hmac
import re
import secrets as randomness
from collections.abc import Sequence
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from usersplit._errors import UserSplitError
from usersplit._split_groups import draw_split_group, split_group_from_cookie, split_group_to_cookie
from usersplit._units import Guest

SameSite: TypeAlias = Literal["Lax", "Strict", "None"]

_SAME_SITES: Final = ("Lax", "Strict", "None")
_ID_BYTES: Final = 16
_SIGNATURE_BYTES: Final = 16
_SHORTEST_SECRET_BYTES: Final = 16
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{22}", re.ASCII)  # 16 bytes in base64, without padding
_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_ATTRIBUTE: Final = re.compile(r"[!-:<-~]*", re.ASCII)  # printable, no semicolon
_UNSIGNED_PARTS: Final = 2


class InvalidCookie(UserSplitError, ValueError):
    """A setting of the guests' cookie that browsers would refuse, or that protects nothing."""


class GuestCookie:
    """How the guests' cookie looks and how long it lives. Its value is `GROUP.ID`, or `GROUP.ID.SIGNATURE`.

    A cookie comes from outside: if anything in it is strange, the guest has none, and a new one is drawn. The number
    alone, as `split_group_to_cookie` writes it, is read too: such a guest keeps the group and gets an id.

    Args:
        name: of the cookie. With the prefix `__Host-` browsers take it from this very host only, over https.
        secrets: of at least 16 bytes each; the first one signs, all verify, so that they can be exchanged. Signed,
            nobody can choose a variant by writing a cookie. None: plain.
        accept_unsigned: take plain cookies too: while a service goes over to signed ones.
        lifetime: how long the browser keeps it, counted from the day it is drawn. Longer than any test; browsers keep
            none for more than 400 days.
        same_site: whether it is sent along when other sites link here ("Lax": yes; "Strict": no, so that visitors who
            come from elsewhere are new guests), or embed this one ("None").
        secure: whether it is sent over https only; None: if the request that it answers came by https. Behind a proxy
            that ends TLS, say True.
        http_only: whether it is hidden from JavaScript.
        path: below which it is sent.
        domain: to whose subdomains it is sent too; "" is this host only.

    Raises:
        InvalidCookie: a setting that browsers would refuse, or that protects nothing.
    """

    def __init__(  # noqa: PLR0913 - the attributes of a cookie, all by name
        self,
        *,
        name: str = "usersplit_guest",
        secrets: Sequence[str | bytes] = (),
        accept_unsigned: bool = False,
        lifetime: timedelta = timedelta(days=400),
        same_site: SameSite = "Lax",
        secure: bool | None = None,
        http_only: bool = True,
        path: str = "/",
        domain: str = "",
    ) -> None:
        self._name = name
        self._secrets = _checked_secrets(secrets)
        self._accept_unsigned = accept_unsigned or not self._secrets
        self._secure = secure
        self._attributes = f"; Path={path}; Max-Age={int(lifetime.total_seconds())}; SameSite={same_site}"
        self._attributes += f"; Domain={domain}" if domain else ""
        self._attributes += "; HttpOnly" if http_only else ""
        if _NAME.fullmatch(name) is None:
            raise InvalidCookie(f"{name!r} is no name of a cookie: letters, digits and - . _ are.")
        if _ATTRIBUTE.fullmatch(path) is None or not path.startswith("/") or _ATTRIBUTE.fullmatch(domain) is None:
            raise InvalidCookie(
                f"The cookie's path {path!r} must start with a slash, and neither it nor its domain hold ;."
            )
        if lifetime < timedelta(seconds=1):
            raise InvalidCookie(f"A lifetime of {lifetime} ends before the next request.")
        if same_site not in _SAME_SITES:
            raise InvalidCookie(f"SameSite is Lax, Strict or None, not {same_site!r}.")
        if same_site == "None" and secure is not True:
            raise InvalidCookie("Browsers refuse SameSite=None without Secure: pass secure=True.")
        if name.startswith(("__Host-", "__Secure-")) and secure is not True:
            raise InvalidCookie(f"Browsers refuse {name} without Secure: pass secure=True.")
        if name.startswith("__Host-") and (domain or path != "/"):
            raise InvalidCookie(f"Browsers refuse {name} with a domain, or with another path than /.")

    def read(self, header: str) -> Guest | None:
        """Return the guest in the request's `Cookie` header, or None: draw one, and set the cookie."""
        for payload in self._payloads(header):
            group_text, _, guest_id = payload.partition(".")
            group = split_group_from_cookie(group_text)
            if group is not None and _TOKEN.fullmatch(guest_id):
                return Guest(split_group=group, id=guest_id)
        return None

    def draw(self, header: str = "") -> Guest:
        """Return a new guest; one whose cookie holds a split group alone keeps it."""
        groups = (split_group_from_cookie(payload) for payload in self._payloads(header))
        kept = next((group for group in groups if group is not None), None)
        guest_id = _base64(randomness.token_bytes(_ID_BYTES))
        return Guest(split_group=draw_split_group() if kept is None else kept, id=guest_id)

    def write(self, guest: Guest, *, is_https: bool) -> str:
        """Return the value of the `Set-Cookie` header.

        Args:
            guest: with an id that `draw` made.
            is_https: whether the request came by https.

        Raises:
            InvalidSplitGroup: the guest has none.
        """
        payload = f"{split_group_to_cookie(guest.split_group)}.{guest.id}"
        value = f"{payload}.{self._signature(self._secrets[0], payload)}" if self._secrets else payload
        is_secure = is_https if self._secure is None else self._secure
        return f"{self._name}={value}{self._attributes}{'; Secure' if is_secure else ''}"

    def _payloads(self, header: str) -> list[str]:
        """Return what can be believed of the cookies of this name: browsers may send several, of several paths."""
        found = []
        for part in header.split(";"):
            name, _, value = part.strip().partition("=")
            if name == self._name:
                payload = self._believed(value.strip('"'))
                if payload is not None:
                    found.append(payload)
        return found

    def _believed(self, value: str) -> str | None:
        if not value.isascii():
            return None
        payload, _, signature = value.rpartition(".")
        if any(hmac.compare_digest(self._signature(secret, payload), signature) for secret in self._secrets):
            return payload
        if not self._accept_unsigned:
            return None
        # With the signature of a time when it was signed, or without.
        return ".".join(value.split(".")[:_UNSIGNED_PARTS])

    def _signature(self, secret: bytes, payload: str) -> str:
        # The name is signed too: another cookie that is signed with the same secret is not this one.
        signed = f"{self._name}={payload}".encode()
        return _base64(hmac.digest(secret, signed, hashlib.sha256)[:_SIGNATURE_BYTES])


def _checked_secrets(given: Sequence[str | bytes]) -> tuple[bytes, ...]:
    if isinstance(given, (str, bytes)):
        raise InvalidCookie("Secrets are a list: the first one signs, all verify.")
    secrets = tuple(secret.encode() if isinstance(secret, str) else secret for secret in given)
    if any(len(secret) < _SHORTEST_SECRET_BYTES for secret in secrets):
        raise InvalidCookie(f"A secret needs {_SHORTEST_SECRET_BYTES} bytes or more; secrets.token_hex() makes one.")
    return secrets


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode("ascii")
