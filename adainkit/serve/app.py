"""The ASGI application: routes, guard, page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse
from starlette.middleware.cors import CORSMiddleware
from starlette.staticfiles import StaticFiles

from .. import __version__
from .guard import Guard
from .problems import add_handlers
from .routes import about, jobs, live, pictures, styles, stylize
from .routes.platforms import contract_of
from .service import Service
from .settings import Settings
from .strict import check_form, tell_of_strictness

__all__ = ["PAGE", "create_app"]

PAGE = Path(__file__).parent / "page"


def create_app(settings: Settings | None = None) -> FastAPI:
    """The service as an ASGI application: one process, one warm session. `SettingsError` for bad settings."""
    settings = Settings() if settings is None else settings
    service = Service(settings)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        app.openapi()  # a quarter of a second, which the first form need not wait for
        await service.start()
        try:
            yield
        finally:
            await service.stop()

    app = FastAPI(
        title="adainkit",
        version=__version__,
        description="Any picture in the style of any other. Errors are `{error, remedy}`.",
        lifespan=lifespan,
        openapi_url="/v1/openapi.json",
        docs_url=None,  # their scripts come from foreign hosts
        redoc_url=None,
    )
    app.state.service = service
    add_handlers(app)
    tell_of_strictness(app)
    contract = contract_of(settings.platform)
    if contract is None:
        for module in (about, styles, stylize, pictures, jobs, live):
            app.include_router(module.router, dependencies=[] if module is live else [Depends(check_form)])
        _add_page(app)
    else:  # the platform stands before the service, and asks for nothing else
        app.include_router(contract.router)
    opened = set() if contract is None else contract.addresses
    app.add_middleware(Guard, settings=settings, door=service.door, metrics=service.metrics, opened=opened)
    if settings.origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=[*settings.origins],
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["Authorization", "Content-Type"],
            expose_headers=["Retry-After", "Location"],
        )
    return app


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})

    app.mount("/page", StaticFiles(directory=PAGE, check_dir=False), name="page")
