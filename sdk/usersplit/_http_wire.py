"""One question to a server of UserSplit: all config documents, unless nothing changed.

With the standard library only. It follows no redirect, for that would hand the token to whoever is named there, and it
reads no more than a bound.
"""

import http.client
import re
import time
import urllib.error
import urllib.request
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.message import Message
from typing import IO, Final
from urllib.parse import urlsplit

from usersplit._errors import InvalidSetting, UserSplitError, __version__
from usersplit._settings import require_positive_seconds

PATH: Final = "/api/v1/configs"
LARGEST_ANSWER_BYTES: Final = 512 * 1024 * 1024

_PIECE_BYTES: Final = 64 * 1024
_TOKEN: Final = re.compile(r"[!-~]+", re.ASCII)
_NOT_MODIFIED: Final = 304
_GZIP: Final = 16 + zlib.MAX_WBITS
_REFUSALS: Final = {
    401: "does not know the token: make a new one, with the scope read",
    403: "does not let this token read configs: it needs the scope read",
    404: f"has no {PATH}: is it the address of UserSplit?",
}


class NoAnswer(UserSplitError):
    """The server did not send configs. The sentence says why, and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """What the server sent: JSON text, and the mark by which it knows it again."""

    body: bytes
    etag: str


class HttpWire:
    """Asks one server.

    Args:
        url: of the server, such as "https://usersplit.example.com"; what is below it is known here.
        token: an API token with the scope `read`.
        timeout_seconds: how long one answer may take, from first to last byte; and connecting.
        monotonic: the clock of that.

    Raises:
        InvalidSetting: an address, a token or a time that cannot be one.
    """

    def __init__(
        self, url: str, token: str, *, timeout_seconds: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        if not _is_address(url):
            raise InvalidSetting(f"{url!r} is no address of a server, such as https://usersplit.example.com.")
        if urlsplit(url).username is not None:
            raise InvalidSetting("Put no name and password into the address: pass an API token as token.")
        if not _is_token(token):
            raise InvalidSetting("The token is no API token: it is empty, or holds blanks or strange characters.")
        require_positive_seconds("timeout_seconds", timeout_seconds)
        self._url = url.removesuffix("/").removesuffix(PATH) + PATH
        self._token = token
        self._timeout_seconds = timeout_seconds
        self._monotonic = monotonic
        self._opener = urllib.request.build_opener(_NoRedirects)

    def ask(self, etag: str) -> HttpAnswer | None:
        """Return the server's answer, None if it is the one of this `etag` still.

        Raises:
            NoAnswer: there is none in time, or it is a refusal.
        """
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Accept": "application/json",
            "Accept-Encoding": "gzip",
            "User-Agent": f"usersplit-python/{__version__}",
            **({"If-None-Match": etag} if etag else {}),
        }
        deadline = self._monotonic() + self._timeout_seconds
        try:
            request = urllib.request.Request(self._url, headers=headers)  # noqa: S310 - the scheme was looked at
            with self._opener.open(request, timeout=self._timeout_seconds) as response:
                body = b"".join(self._pieces(response, deadline))
                return HttpAnswer(body=body, etag=response.headers.get("ETag", ""))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == _NOT_MODIFIED and etag:
                    return None
                raise NoAnswer(f"The server {self._url} {_refusal(error)}.") from error
        except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise self._too_late() from error
            raise NoAnswer(f"The server {self._url} cannot be asked ({type(error).__name__}: {reason}).") from error

    def _pieces(self, response: http.client.HTTPResponse, deadline: float) -> Iterator[bytes]:
        unpacked = zlib.decompressobj(_GZIP) if response.headers.get("Content-Encoding") == "gzip" else None
        left = LARGEST_ANSWER_BYTES
        # read1 returns what is there: a server that sends a byte now and then does not get around the deadline.
        while piece := response.read1(_PIECE_BYTES):
            if self._monotonic() > deadline:
                raise self._too_late()
            if unpacked is not None:
                piece = unpacked.decompress(piece, left + 1)
            left -= len(piece)
            if left < 0:
                raise NoAnswer(f"The server {self._url} sent more than {LARGEST_ANSWER_BYTES:,} bytes.")
            yield piece
        if unpacked is not None and not unpacked.eof:
            raise NoAnswer(f"The answer of the server {self._url} is torn.")

    def _too_late(self) -> NoAnswer:
        return NoAnswer(f"The server {self._url} did not answer within {self._timeout_seconds:g} seconds.")


def _is_address(url: object) -> bool:
    if not isinstance(url, str) or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        is_server = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number or too large
        return False
    return bool(is_server and not parts.query and not parts.fragment)


def _is_token(token: object) -> bool:
    return isinstance(token, str) and _TOKEN.fullmatch(token) is not None  # None is what an unset variable gives


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> None:
        """Follow none: the caller is told of the redirect as an error."""


def _refusal(error: urllib.error.HTTPError) -> str:
    if 300 <= error.code < 400:  # noqa: PLR2004 - redirects
        location = error.headers.get("Location", "nowhere")
        return f"points elsewhere ({error.code}, {location}): configure the address that answers itself"
    return f"{_REFUSALS.get(error.code, 'refuses')} ({error.code})"
