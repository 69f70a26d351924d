"""The company's identity provider, as OpenID Connect has it: where people are sent, and what it says of who comes back.

Authlib knows the protocol: its core, over an httpx client of ours. Authlib's own httpx client is for its successor.
What is trusted is decided here: the issuer is the one of the settings, signatures are asymmetric, the audience is us.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from threading import BoundedSemaphore, Lock
from typing import Any, Final
from urllib.parse import quote_plus

import httpx
from authlib.common.errors import AuthlibBaseError
from authlib.common.urls import add_params_to_uri
from authlib.oauth2.client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import BadSignatureError, InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from accounts.errors import ProviderUnavailable, SignInDenied, WrongIdToken, WrongLogoutToken
from accounts.openid_logout import Logout, logout_in
from accounts.origin import is_safe_address

ALGORITHMS: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that only the provider can make. With `none` anybody could, with HS256 whoever has the client's secret."""

CLOCK_SKEW: Final = timedelta(seconds=60)
"""How far the provider's clock may be from ours."""

_KEPT_SECONDS: Final = 3600.0
_ANEW_SECONDS: Final = 5.0
_DOWN_SECONDS: Final = 3.0
_TIMEOUT_SECONDS: Final = 10.0
_AT_ONCE: Final = 8
"""Strangers can make us ask; they must not hold all threads while the provider is slow."""


class OpenIdProvider:
    """Speaks to one identity provider. Safe to share between threads; it may block for some seconds.

    Args:
        issuer: the provider's address, exactly as it calls itself.
        client_id: how it calls us.
        client_secret: what proves to it that it is us; empty for a public client, which PKCE alone guards.
        scopes: what is asked for; `openid` among them.
        now: the clock.
        monotonic: the clock that never jumps.
        open_http: gives an HTTP client for a few requests.
    """

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret: str,
        scopes: Iterable[str],
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        open_http: Callable[[], httpx.Client] = lambda: httpx.Client(timeout=_TIMEOUT_SECONDS),
    ) -> None:
        self.issuer = issuer
        self._client_id = client_id
        self._client_secret = client_secret
        self._scope = " ".join(scopes)
        self._now = now
        self._monotonic = monotonic
        self._open_http = open_http
        self._turn = BoundedSemaphore(_AT_ONCE)
        self._documents = Lock()
        self._known: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._down_until = float("-inf")
        self._anew_from = float("-inf")

    def sign_in_url(self, *, redirect_uri: str, state: str, nonce: str, verifier: str) -> str:
        """Return where a person signs in; the provider leads back to `redirect_uri`.

        Raises:
            ProviderUnavailable: it does not tell.
        """
        endpoint = self._endpoint("authorization_endpoint")
        client = OAuth2Client(
            None,
            self._client_id,
            scope=self._scope,
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
        )
        url, _ = client.create_authorization_url(endpoint, state=state, code_verifier=verifier, nonce=nonce)
        return str(url)

    def sign_out_url(self, *, back_to: str) -> str | None:
        """Return where a person signs out of the provider, None if it has no such place.

        Raises:
            ProviderUnavailable: it does not tell.
        """
        if self._metadata().get("end_session_endpoint") is None:
            return None
        asked = [("client_id", self._client_id), ("post_logout_redirect_uri", back_to)]
        return str(add_params_to_uri(self._endpoint("end_session_endpoint"), asked))

    def claims_of(self, code: str, *, redirect_uri: str, nonce: str, verifier: str) -> Mapping[str, Any]:
        """Return what the provider says of the person who came back with `code`; `sub` is a text that is not empty.

        Raises:
            ProviderUnavailable: it does not answer.
            SignInDenied: the code is wrong, too old, or was used before.
            WrongIdToken: the answer is not what it should be.
        """
        tokens = self._tokens_for(code, redirect_uri=redirect_uri, verifier=verifier)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str):
            raise WrongIdToken("there is no id_token in it")
        claims = self._validated(id_token, access_token=access_token, nonce=nonce)
        return {**self._told_of_person(access_token, claims["sub"]), **claims}

    def logout_of(self, logout_token: str) -> Logout:
        """Return whose session at the provider is over, by a token that anybody could have sent.

        Raises:
            WrongLogoutToken: it is not the provider's word to us.
            ProviderUnavailable: its keys cannot be asked for.
        """
        try:
            token = self._signed(logout_token)
            return logout_in(
                token.header,
                token.claims,
                issuer=self.issuer,
                client_id=self._client_id,
                now=self._now(),
                skew=CLOCK_SKEW,
            )
        except _UNTRUSTED as error:
            raise WrongLogoutToken(_named(error)) from error

    def _tokens_for(self, code: str, *, redirect_uri: str, verifier: str) -> Mapping[str, Any]:
        endpoint = self._endpoint("token_endpoint")
        proof, fields = self._proof()
        with self._asking() as http:
            client = OAuth2Client(http, self._client_id, redirect_uri=redirect_uri)
            tokens: Mapping[str, Any] = client.fetch_token(
                endpoint, auth=proof, grant_type="authorization_code", code=code, code_verifier=verifier, **fields
            )
        return tokens

    def _proof(self) -> tuple[httpx.Auth, dict[str, str]]:
        """Return how we prove who we are: a header, or fields of the body."""
        if not self._client_secret:
            return httpx.Auth(), {"client_id": self._client_id}
        # OpenID Connect's default, where a provider does not say what it takes.
        methods = self._metadata().get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" in methods:
            # RFC 6749 2.3.1: both are form-encoded first.
            return httpx.BasicAuth(quote_plus(self._client_id), quote_plus(self._client_secret)), {}
        return httpx.Auth(), {"client_id": self._client_id, "client_secret": self._client_secret}

    def _validated(self, id_token: str, *, access_token: object, nonce: str) -> Mapping[str, Any]:
        try:
            token = self._signed(id_token)
            claims = CodeIDToken(
                token.claims,
                token.header,
                {
                    "iss": {"essential": True, "value": self.issuer},
                    "aud": {"essential": True, "value": self._client_id},
                    "sub": {"essential": True},
                },
                {"nonce": nonce, "client_id": self._client_id, "access_token": access_token},
            )
            claims.validate(now=int(self._now().timestamp()), leeway=int(CLOCK_SKEW.total_seconds()))
        except _UNTRUSTED as error:
            raise WrongIdToken(_named(error)) from error
        return dict(claims)

    def _signed(self, text: str) -> jwt.Token:
        """Return a token that the provider signed; what else it must be is for the caller to see.

        Raises:
            JoseError, ValueError, TypeError, KeyError: somebody else did, or nobody.
        """
        supported = self._metadata().get("id_token_signing_alg_values_supported") or ["RS256"]
        registry = JWSRegistry(algorithms=[name for name in ALGORITHMS if name in supported], strict_check_header=False)
        try:
            return jwt.decode(text, self._keys(), registry=registry)
        except (BadSignatureError, InvalidKeyIdError):  # perhaps its keys are new
            return jwt.decode(text, self._keys(anew=True), registry=registry)

    def _told_of_person(self, access_token: object, subject: str) -> Mapping[str, Any]:
        """Return the claims that are not in the id_token: many providers keep names and groups for those who ask."""
        if not isinstance(access_token, str) or self._metadata().get("userinfo_endpoint") is None:
            return {}
        endpoint = self._endpoint("userinfo_endpoint")
        with self._asking() as http:
            answer = http.get(endpoint, headers={"Authorization": f"Bearer {access_token}"})
            answer.raise_for_status()
            # Providers may answer with a signed token as well; one is never asked for.
            told = _object(answer)
        if told.get("sub") != subject:
            raise WrongIdToken("its userinfo is about somebody else")
        return told

    def _metadata(self) -> Mapping[str, Any]:
        metadata = self._document(self.issuer.rstrip("/") + "/.well-known/openid-configuration")
        if metadata.get("issuer") != self.issuer:
            # OpenID Connect Discovery 4.3: whoever answers in its place must not become the provider.
            raise ProviderUnavailable(
                f"calls itself {metadata.get('issuer')!r:.200}, and the settings call it {self.issuer!r:.200}"
            )
        return metadata

    def _endpoint(self, name: str) -> str:
        endpoint = self._metadata().get(name)
        if not isinstance(endpoint, str) or not is_safe_address(endpoint):
            raise ProviderUnavailable(f"has no {name} that can be used")
        return endpoint

    def _keys(self, *, anew: bool = False) -> KeySet:
        document = self._document(self._endpoint("jwks_uri"), anew=anew)
        return KeySet.import_key_set(document)  # type: ignore[arg-type]  # it checks what it is given

    def _document(self, url: str, *, anew: bool = False) -> Mapping[str, Any]:
        """Return a document of the provider, from memory for an hour. Whoever comes meanwhile waits for one answer.

        Who doubts a document (`anew`) gets the known one where it was doubted a moment ago, or is at this moment:
        anybody can send logout tokens of a key that nobody knows, and must not make us ask for each, nor hold threads.
        """
        if (known := self._fresh(url, anew=anew)) is not None:
            return known
        is_doubted = anew and url in self._known
        if not self._documents.acquire(blocking=not is_doubted):
            return self._known[url][1]
        try:
            known = self._fresh(url, anew=anew)
            return self._asked(url, anew=anew) if known is None else known
        finally:
            self._documents.release()

    def _fresh(self, url: str, *, anew: bool) -> Mapping[str, Any] | None:
        moment, known = self._monotonic(), self._known.get(url)
        if known is None or moment - known[0] >= _KEPT_SECONDS or (anew and moment >= self._anew_from):
            return None
        return known[1]

    def _asked(self, url: str, *, anew: bool) -> Mapping[str, Any]:
        moment = self._monotonic()
        if moment < self._down_until:
            raise ProviderUnavailable("does not answer")
        if anew:
            self._anew_from = moment + _ANEW_SECONDS
        try:
            with self._asking() as http:
                answer = http.get(url)
                answer.raise_for_status()
                document = _object(answer)
        except ProviderUnavailable:
            self._down_until = self._monotonic() + _DOWN_SECONDS
            raise
        self._known[url] = (moment, document)
        return document

    @contextmanager
    def _asking(self) -> Iterator[httpx.Client]:
        """Yield a client; what goes wrong with it is a named error. Redirects are not followed: secrets are sent."""
        if not self._turn.acquire(blocking=False):
            raise ProviderUnavailable("is being asked by many people at once")
        try:
            with self._open_http() as http:
                yield http
        except AuthlibBaseError as error:
            raise SignInDenied(known_error(error.error)) from error
        except httpx.HTTPStatusError as error:
            raise ProviderUnavailable(f"answered {error.response.status_code}") from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderUnavailable(f"does not answer ({type(error).__name__})") from error
        except ValueError as error:
            raise ProviderUnavailable("does not answer with JSON") from error
        finally:
            self._turn.release()


_UNTRUSTED: Final = (JoseError, ValueError, TypeError, KeyError)
"""What the reading of a token ends with that somebody made up."""


def _named(error: Exception) -> str:
    return getattr(error, "error", "") or type(error).__name__


_ERRORS: Final = frozenset(
    {
        "access_denied",
        "account_selection_required",
        "consent_required",
        "interaction_required",
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "login_required",
        "server_error",
        "temporarily_unavailable",
        "unauthorized_client",
        "unsupported_response_type",
    }
)


def known_error(error: object) -> str:
    """Return an error's word, if it is one of the protocol: any other text could be a stranger's."""
    return error if isinstance(error, str) and error in _ERRORS else "no, for a reason that it does not name"


def _object(answer: httpx.Response) -> Mapping[str, Any]:
    document = answer.json()
    if not isinstance(document, dict):
        raise ValueError("no JSON object")  # noqa: TRY004 - as for what is no JSON at all
    return document
