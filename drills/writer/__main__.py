"""`python -m drills.writer`: the container `writer` of the drill's pod."""

import asyncio
import os
import sys

import msgspec

from drills.wire import SETTINGS_VARIABLE, Settings
from drills.writer.program import run_until_terminated

if __name__ == "__main__":
    sys.exit(asyncio.run(run_until_terminated(msgspec.json.decode(os.environ[SETTINGS_VARIABLE], type=Settings))))
