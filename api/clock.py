"""The clock, as an argument of an endpoint: only the composition root reads a real one."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, TypeAlias

from fastapi import Depends, Request

Now: TypeAlias = Callable[[], datetime]
"""Gives the present moment, aware, UTC."""


async def _clock(request: Request) -> Now:
    now: Now = request.app.state.now
    return now


Clock: TypeAlias = Annotated[Now, Depends(_clock)]
