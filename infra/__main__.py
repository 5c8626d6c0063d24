"""What `pulumi up` runs. Errors of ours are one clear message, never a traceback."""

import sys
from pathlib import Path

# Pulumi runs this folder as a program and puts it first on the path, where its modules would hide packages of the
# same name (`redis`, `app`); they are `infra.redis` and so on, from the checkout's root.
_FOLDER = Path(__file__).resolve().parent
sys.path[:] = [str(_FOLDER.parent), *(entry for entry in sys.path if Path(entry).resolve() != _FOLDER)]

from pulumi import RunError  # noqa: E402 - the path above comes first

from hms.errors import HmsError  # noqa: E402 - the path above comes first
from infra.program import run  # noqa: E402 - the path above comes first

try:
    run()
except HmsError as error:
    raise RunError(str(error)) from error
