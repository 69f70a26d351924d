"""The managers' pages, put on the application that serves the API."""

from collections.abc import Mapping

from fastapi import FastAPI

from accounts.desk import Desk
from accounts.identity import Identity
from accounts.openid import OpenIdDesk
from api.nowhere import Nowhere
from api.openid import PLACE
from entrypoints.backbone import Backbone
from entrypoints.clock import now
from entrypoints.consumer_standings import ConsumerStandings
from entrypoints.projection_operations import ProjectionOperations
from events.facts import REGISTRY
from warehouse.traffic import HitTraffic
from web.app import mount
from web.parts import Parts


def mount_pages(  # noqa: PLR0913 - what pages are made of, wired by name
    app: FastAPI,
    backbone: Backbone,
    desk: Desk,
    consumers: ConsumerStandings,
    *,
    traffic: HitTraffic | None = None,
    public_url: str = "",
    environment: str = "",
    openid: OpenIdDesk | None = None,
) -> None:
    """Serve the pages at every address that `app` does not answer itself. Once in a process: NiceGUI is a global."""

    def person_of(cookies: Mapping[str, str]) -> Identity | None:
        cookie = cookies.get(desk.sessions.cookie, "")
        return desk.identity_of_session(cookie) if cookie else None

    parts = Parts(
        operations=ProjectionOperations(backbone, consumers),
        reading=backbone.reading,
        store=backbone.store,
        registry=REGISTRY,
        split_tests=backbone.split_tests,
        user_groups=backbone.user_groups,
        overrides=backbone.overrides,
        catalog=backbone.catalog,
        now=now,
        desk=desk,
        person_of=person_of,
        traffic=traffic,
        audience=backbone.audience,
        public_url=public_url,
        environment=environment,
        company=PLACE if openid is not None else "",
        company_label=openid.label if openid is not None else "",
    )
    app.router.routes.append(Nowhere(app.router))
    app.state.sign_in_refused = mount(app, parts).refused
