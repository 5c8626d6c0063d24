"""Run the witness of one member: `python -m witness`. Exit code 2 where its environment is wrong."""

import asyncio
import contextlib
import gc
import os
import signal
import sys

from witness.front import Front
from witness.kube import Kube
from witness.log import say
from witness.metrics import Metrics
from witness.program import Witness
from witness.settings import Settings, SettingsError, read_settings


async def run(settings: Settings) -> None:
    """Witness until SIGTERM. A fence stays where it is: it is on disk, and the vote may count."""
    metrics = Metrics()

    def client() -> Kube:
        return Kube(settings.api_host, settings.api_port, settings.namespace, settings.account)

    witness = Witness(settings, client(), metrics)
    front = Front(settings, client(), witness.config, metrics)
    server = await metrics.serve(settings.metrics_port)
    witnessing = asyncio.ensure_future(_both(witness, front))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, witnessing.cancel)
    say("begins", member=settings.member)
    async with server:
        with contextlib.suppress(asyncio.CancelledError):
            await witnessing
    say("ends", member=settings.member)


async def _both(witness: Witness, front: Front) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(witness.run())
        tasks.create_task(front.run())


def main() -> int:
    """Read the settings and run; return the exit code."""
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        print(f"witness: {error}".replace("\n", "\nwitness: "), file=sys.stderr)
        return 2
    gc.freeze()
    asyncio.run(run(settings))
    return 0


if __name__ == "__main__":
    sys.exit(main())
