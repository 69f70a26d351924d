"""A certified OpenID Connect provider on loopback, and the way of a person's browser through its pages."""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from html import unescape
from typing import Any, Final
from urllib.parse import urljoin

import httpx

from accounts.desk import Desk
from accounts.openid import OpenIdDesk
from accounts.openid_people import PeopleRules
from accounts.openid_provider import OpenIdProvider
from api.openid import CALLBACK, LOGOUT, PLACE
from entrypoints.clock import now
from tests.support.served import Program, program

PUBLIC_URL: Final = "http://testserver"
CLIENT_ID: Final = "usersplit"
CLIENT_SECRET: Final = "a secret: with / and +"  # noqa: S105 - made up
_ACTION: Final = re.compile(r'<form autocomplete="off" action="([^"]+)"')
_ABORT: Final = re.compile(r'href="([^"]+/abort)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class IdentityProvider:
    """The provider at work."""

    issuer: str
    running: Program

    def knows(self, name: str, **claims: Any) -> None:
        """Let it say this of a person from now on."""
        assert self.running.ask({name: claims})["event"] == "changed"

    def answer_to(self, url: str, *, name: str, consents: bool = True) -> str:
        """Go where a sign-in leads, as a person does; return the address back to us, which is not gone to."""
        with httpx.Client() as browser:
            answer = browser.get(url)
            while True:
                if answer.is_redirect:
                    url = urljoin(url, answer.headers["location"])
                    if not url.startswith(self.issuer):
                        return url
                    answer = browser.get(url)
                    continue
                form, abort = _ACTION.search(answer.text), _ABORT.search(answer.text)
                assert form is not None, answer.text
                assert abort is not None, answer.text
                if consents:
                    prompt = "login" if 'value="login"' in answer.text else "consent"
                    url = urljoin(url, unescape(form[1]))
                    answer = browser.post(url, data={"prompt": prompt, "login": name, "password": "anything"})
                else:
                    url = urljoin(url, unescape(abort[1]))
                    answer = browser.get(url)


@contextmanager
def identity_provider(node: str, *, public_url: str = PUBLIC_URL, port: int = 0) -> Iterator[IdentityProvider]:
    """Run the provider on `port` (0: any) until the end of the block, with UserSplit at `public_url` as its client."""
    client = {
        "client_id": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "redirect_uris": [public_url + CALLBACK],
        "post_logout_redirect_uris": [f"{public_url}/login"],
        "backchannel_logout_uri": public_url + LOGOUT,
        "backchannel_logout_session_required": True,
    }
    with program(
        node, "identity_provider.mjs", [json.dumps({"client": client, "people": {}, "port": port})]
    ) as running:
        yield IdentityProvider(issuer=running.hear_of("listening")["issuer"], running=running)


def openid_desk(
    desk: Desk,
    issuer: str,
    people: PeopleRules,
    *,
    clock: Callable[[], datetime] = now,
    open_http: Callable[[], httpx.Client] = httpx.Client,
    signs_out: bool = False,
) -> OpenIdDesk:
    """Return a desk for people whom the provider at `issuer` knows."""
    provider = OpenIdProvider(
        issuer=issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        scopes=("openid", "profile", "email"),
        now=clock,
        monotonic=time.monotonic,
        open_http=open_http,
    )
    return OpenIdDesk(desk, provider, people, public_url=PUBLIC_URL, callback=CALLBACK, signs_out=signs_out)


def begun(ours: Any, params: Mapping[str, str] | None = None) -> str:
    """Press "Sign in with …" in one of our browsers; return where it leads."""
    answer = ours.get(PLACE, params=params or {}, follow_redirects=False)
    assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
    location: str = answer.headers["location"]
    return location
