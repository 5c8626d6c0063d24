"""`python -m app`: serve until told to stop. Exit code 0, 1 if it could not serve, 2 for bad settings."""

import asyncio
import os
import sys

import uvloop

from app import tracing
from app.errors import SettingsError
from app.logs import configure
from app.server import Application, Server
from app.settings import Settings, from_environment


async def _serve(settings: Settings) -> None:
    await Server(settings, Application(settings)).serve()


def main() -> int:
    """Run the command; return its exit code."""
    configure()
    try:
        settings = from_environment(os.environ)
        if settings.traces is not None:
            tracing.begin(settings.traces)
    except SettingsError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
