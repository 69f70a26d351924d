"""Who is asked about, and how they came: in requests as JSON, in answers as the SDK's units."""

from datetime import datetime
from typing import Annotated, Any, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from usersplit import Answer, Environment, Guest, Unit, User

Id: TypeAlias = Annotated[str | int, Field(description="The id; hits carry it as text")]
SplitGroup: TypeAlias = Annotated[int, Field(ge=0, le=2400, description="1 to 2400; 0 where it is not known")]


class UserDocument(BaseModel):
    """A user who is logged in, with the profile that user filters read."""

    model_config = ConfigDict(extra="forbid")

    id: Id
    split_group: SplitGroup = 0
    attributes: dict[str, Any] = Field(default_factory=dict)
    device_id: str = ""


class GuestDocument(BaseModel):
    """A visitor who is not logged in; without an id, known by the device."""

    model_config = ConfigDict(extra="forbid")

    id: Id = ""
    split_group: SplitGroup = 0
    device_id: str = ""


class EnvironmentDocument(BaseModel):
    """How the visitor came, as environment filters read it."""

    model_config = ConfigDict(extra="forbid")

    platform: str = ""
    country: str = ""
    user_agent: str = ""
    app_version: str = ""
    attributes: dict[str, Any] = Field(default_factory=dict)


class VisitDocument(BaseModel):
    """A visit: either a user or a guest, and an environment."""

    model_config = ConfigDict(extra="forbid")

    user: UserDocument | None = None
    guest: GuestDocument | None = None
    environment: EnvironmentDocument = Field(default_factory=EnvironmentDocument)

    @model_validator(mode="after")
    def _is_somebody(self) -> Self:
        if (self.user is None) == (self.guest is None):
            raise ValueError("say who: either a user or a guest")
        return self

    def unit(self) -> Unit:
        """Return who is asked about, as the SDK knows units."""
        if self.user is not None:
            user = self.user
            return User(id=user.id, split_group=user.split_group, attributes=user.attributes, device_id=user.device_id)
        guest = self.guest or GuestDocument()
        return Guest(id=guest.id, split_group=guest.split_group, device_id=guest.device_id)

    def unit_names(self) -> list[str]:
        """Return the units that QA overrides may be about: who it is, and the device."""
        somebody = self.user or self.guest or GuestDocument()
        named = [f"{'guest' if self.user is None else 'user'}:{somebody.id}", f"device:{somebody.device_id}"]
        return [name for name in named if not name.endswith(":")]

    def way(self) -> Environment:
        """Return how they came."""
        came = self.environment
        return Environment(
            platform=came.platform,
            country=came.country,
            user_agent=came.user_agent,
            app_version=came.app_version,
            attributes=came.attributes,
        )


class AnswerDocument(TypedDict):
    """What a test gives: a variant or none, with the reason as a word and as a sentence."""

    key: str
    variant: str | None
    reason: str
    detail: str
    status: str | None
    settings_group: int
    position: int


def answer_document(answer: Answer) -> AnswerDocument:
    """Return an answer as a document."""
    return AnswerDocument(
        key=answer.key,
        variant=answer.variant,
        reason=answer.reason,
        detail=answer.detail,
        status=answer.status,
        settings_group=answer.settings_group,
        position=answer.position,
    )


def nanoseconds(moment: datetime) -> int:
    """Return a moment as the SDK's clock gives it."""
    return int(moment.timestamp() * 1_000_000) * 1000
