"""Whether the process lives, and whether it can serve: for supervisors and load balancers, who do not sign in."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from sqlalchemy import text

from accounts.identity import Identity
from api.errors import problem
from api.identify import Needs
from api.parts import Parts
from projections import models
from projections.overview import overview

router = APIRouter(tags=["operating"])


@router.get("/health", summary="Whether the process answers at all")
async def health() -> dict[str, str]:
    """Answer, without asking anybody else."""
    return {"status": "alive"}


@router.get("/ready", summary="Whether the database answers and every read model serves")
def ready(request: Request) -> Any:
    """Answer 200 where requests can be served, else 503 and why."""
    parts: Parts = request.app.state.parts
    try:
        with parts.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
            standing = overview(connection, models.ALL, head=parts.store.head())
    except Exception:  # noqa: BLE001 - whatever it is: not ready
        return problem(503, "NotReady", "the database does not answer", headers={"Retry-After": "5"})
    missing = sorted({each.name for each in standing} - {each.name for each in standing if each.serves})
    if missing:
        return problem(503, "NotReady", f"not built yet, or of another release: {', '.join(missing)}")
    return {"status": "ready"}


@router.get("/metrics", summary="Metrics for Prometheus", response_class=Response)
def metrics(request: Request, _: Annotated[Identity, Depends(Needs("read"))]) -> Response:
    """Return the process's metrics; Prometheus sends an API token with the scope `read`."""
    kind, body = request.app.state.render_metrics()
    return Response(body, media_type=kind)
