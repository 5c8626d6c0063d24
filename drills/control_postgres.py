"""The negative control of Postgres: the stack's own primary is made to acknowledge what only it has.

The drill's role commits without waiting for a standby, as everybody does where `postgresSynchronousMode` is off. Then
the node of the primary is cut off together with the drill's clients, as in `node-isolate-primary`: what it acknowledges
until its Patroni gives up is lost when it follows the new primary. Everything else is that drill's.
"""

import dataclasses
from collections.abc import Callable

import msgspec

from drills.debts import InPod
from drills.faults.engine import POSTGRES, WITNESS_SECONDS
from drills.run import Session, alone, check_request
from drills.stage import Stage
from drills.trial import TrialRun
from hms.errors import UsageError
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory
from hms.kubectl import Kubectl

DRILL = "control-postgres-asynchronous"
HOW = "the drill's role has synchronous_commit local; the primary is cut off with its clients, who stay with it"
SET = "ALTER ROLE drill SET synchronous_commit = local"
RESET = "ALTER ROLE drill RESET synchronous_commit"
# Whoever leads by then is asked, as the superuser, whose password every member has in a file.
ASK_PRIMARY = (
    "PGPASSWORD=$(cat /etc/hms/secrets/superuser-password) exec psql --no-psqlrc -qAt -v ON_ERROR_STOP=1 "
    '-d "host=postgres user=postgres dbname=postgres sslmode=require connect_timeout=5" -c "$1"'
)


def run_postgres_control(
    *, inventory: Inventory, kubectl: Kubectl, evidence: EvidenceDirectory, progress: Callable[[str], None]
) -> None:
    """Run the control once and leave `drills/control-postgres-asynchronous/1/` in the evidence.

    `UsageError` where no node can be cut off. That nothing was lost is evidence, and for the judge to say.
    """
    (isolate,) = check_request(("node-isolate-primary",), trials=1, inventory=inventory)
    fault = dataclasses.replace(isolate, name=DRILL)
    with alone(kubectl, inventory), Session(kubectl, inventory, progress) as session:
        stage, routing = session.at(fault)
        if reason := fault.not_applicable_because(stage):
            raise UsageError(f"{DRILL}: {reason}", remedy="Run it on a test cluster (`hms cluster up`).")
        _lose(stage)
        outcome = TrialRun(stage, fault, routing, number=1, progress=progress).run()
    for name, content in sorted(outcome.files.items()):
        evidence.write_bytes(f"drills/{DRILL}/1/{name}", content)
    evidence.write(f"drills/{DRILL}/1/trial.json", msgspec.structs.replace(outcome.trial, control=HOW))


def _lose(stage: Stage) -> None:
    """Have the drill's sessions, which begin with its trial, wait for no standby; it is owed to take that back."""
    state = stage.until(lambda state: state if state.postgres.synchronous else None, WITNESS_SECONDS) or stage.state()
    replica = POSTGRES.replicas(state)[0]
    undo = ("sh", "-c", ASK_PRIMARY, "sh", RESET)
    stage.owe(InPod(pod=replica, container=POSTGRES.container, argv=undo, does="have the drill's commits wait again"))
    stage.kubectl.exec(replica, POSTGRES.container, ["sh", "-c", ASK_PRIMARY, "sh", SET])
