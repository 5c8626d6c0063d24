"""`python -m drills.observer`: the container `observer` of the drill's pod."""

import asyncio
import os

import msgspec

from drills.observer.program import run_until_terminated
from drills.wire import SETTINGS_VARIABLE, Settings, print_message

if __name__ == "__main__":
    settings = msgspec.json.decode(os.environ[SETTINGS_VARIABLE], type=Settings)
    asyncio.run(run_until_terminated(settings, print_message))
