"""The filters that conditions can use, as the catalog has them."""

from fastapi import APIRouter
from pydantic import BaseModel

from api.identify import Reader
from api.parts import Here

router = APIRouter(prefix="/api/v1", tags=["settings"])


class FilterDocument(BaseModel):
    """A filter: what it reads, how it can be asked, and labels of known values."""

    name: str
    label: str
    type: str
    scope: str
    operators: list[str]
    values: dict[str, str]


@router.get("/filters", summary="The filters that conditions can use")
def list_filters(parts: Here, _: Reader) -> list[FilterDocument]:
    """Return the catalog, in its order."""
    return [
        FilterDocument(
            name=each.name,
            label=each.label or each.name,
            type=each.type,
            scope=each.scope,
            operators=list(each.allowed_operators),
            values=dict(each.values),
        )
        for each in parts.catalog.values()
    ]
