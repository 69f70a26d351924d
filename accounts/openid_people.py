"""Whom the identity provider's word lets in, as whom, and with which role. Rules only: no wire, no database."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from accounts.errors import NoNameGiven, NoRoleGiven
from accounts.identity import ROLES, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class PeopleRules:
    """What is made of the claims about a person.

    Claims are named as they are called, or by a path with dots (`realm_access.roles`).

    Attributes:
        name_claim: is the name of the account that a new person gets.
        role_claim: holds a text or a list of texts that `roles` knows; empty: roles are given in UserSplit.
        roles: our role for each of those texts. Of several, the one that may most counts.
        default_role: of people whom nothing else gives one; None: they are not let in.
        makes_accounts: whether people without an account get one by signing in.
    """

    name_claim: str = "preferred_username"
    role_claim: str = ""
    roles: Mapping[str, Role] = field(default_factory=dict)
    default_role: Role | None = None
    makes_accounts: bool = True

    def name_in(self, claims: Mapping[str, Any]) -> str:
        """Return how an account for the person is to be called.

        Raises:
            NoNameGiven: the claim is missing, or it is a mail address that the provider has not verified.
        """
        name = _claim(claims, self.name_claim)
        is_unverified = self.name_claim == "email" and claims.get("email_verified") is False
        if not isinstance(name, str) or not name.strip() or is_unverified:
            raise NoNameGiven(self.name_claim)
        return name.strip()

    def role_in(self, claims: Mapping[str, Any]) -> Role | None:
        """Return the role that the person has from now on; None: the account's own stays, if there is an account.

        Raises:
            NoRoleGiven: roles come from a claim, and it gives none.
        """
        if not self.role_claim:
            return None
        said = _claim(claims, self.role_claim)
        texts = said if isinstance(said, list) else [said]
        given = {self.roles[text] for text in texts if isinstance(text, str) and text in self.roles}
        # The roles are told from the one that may most to the one that may least.
        found = next((role for role in ROLES if role in given), self.default_role)
        if found is None:
            raise NoRoleGiven(self.role_claim)
        return found


def _claim(claims: Mapping[str, Any], name: str) -> object:
    if name in claims:
        return claims[name]
    found: object = claims
    for part in name.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found
