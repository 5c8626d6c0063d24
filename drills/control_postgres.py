"""The negative controls of Postgres: the stack's own primary is made to acknowledge what is lost.

`asynchronous`: the drill's role commits without waiting for a standby, as everybody does where
`postgresSynchronousMode` is off, and the node of the primary is cut off together with the drill's clients. `careless`:
the key of a frozen primary is freed without a fence or a vote. Everything else is as in any drill.
"""

import dataclasses
from collections.abc import Callable
from typing import Literal

import msgspec

from drills.debts import InPod
from drills.faults.careless import Careless
from drills.faults.engine import POSTGRES, WITNESS_SECONDS
from drills.faults.families import NODE
from drills.faults.fault import EVERYTHING, NEEDS, Fault
from drills.machines import machines_of
from drills.run import Session, alone
from drills.stage import Stage
from drills.summary import summarise
from drills.trial import TrialRun
from hms.errors import UsageError
from hms.evidence_directory import EvidenceDirectory
from hms.inventory import Inventory
from hms.kubectl import Kubectl

Kind = Literal["asynchronous", "careless"]

ASYNCHRONOUS = dataclasses.replace(
    next(fault for fault in NODE if fault.name == "node-isolate-primary"), name="control-postgres-asynchronous"
)
CARELESS = Careless(
    name="control-careless-detector",
    does="frees the key of a frozen Postgres primary on one observer's word, while a replica does not hear of it",
    undone="by thawing the pod and lifting the partition",
    proved_by="another member holds the key, the kernel's freezer says frozen",
    stays_true="nothing: what the old primary acknowledges when it wakes is lost",
    seconds=40,
    touches=EVERYTHING,
    needs=("machines",),
    place="beside",
    stubborn=True,
    recovery_seconds=150.0,
)
CONTROLS: dict[Kind, Fault] = {"asynchronous": ASYNCHRONOUS, "careless": CARELESS}
HOW: dict[Kind, str] = {
    "asynchronous": "the drill's role has synchronous_commit local; the primary is cut off with its clients, who stay",
    "careless": "the frozen primary's key was freed without a fence or a vote; its clients stay with it",
}
SET = "ALTER ROLE drill SET synchronous_commit = local"
RESET = "ALTER ROLE drill RESET synchronous_commit"
# Whoever leads by then is asked, as the superuser, whose password every member has in a file.
ASK_PRIMARY = (
    "PGPASSWORD=$(cat /etc/hms/secrets/superuser-password) exec psql --no-psqlrc -qAt -v ON_ERROR_STOP=1 "
    '-d "host=postgres user=postgres dbname=postgres sslmode=require connect_timeout=5" -c "$1"'
)


def check_control(kind: Kind, kubectl: Kubectl) -> None:
    """Raise `UsageError` where no node can be cut off."""
    if machines_of(kubectl) is None:
        needs = f"{CONTROLS[kind].name}: needs {NEEDS['machines']}"
        raise UsageError(needs, remedy="Run it on a test cluster (`hms cluster up`).")


def run_postgres_control(
    kind: Kind,
    *,
    trials: int,
    inventory: Inventory,
    kubectl: Kubectl,
    evidence: EvidenceDirectory,
    progress: Callable[[str], None],
) -> None:
    """Run a control `trials` times and leave `drills/control-.../<n>/` in the evidence.

    Contract as `check_control`. That nothing was lost is evidence, and for the judge to say.
    """
    check_control(kind, kubectl)
    fault = CONTROLS[kind]
    with alone(kubectl, inventory), Session(kubectl, inventory, progress) as session:
        for number in range(1, trials + 1):
            stage, routing = session.at(fault)
            if kind == "asynchronous":
                _lose(stage)
            outcome = TrialRun(stage, fault, routing, number=number, progress=progress).run()
            for name, content in sorted(outcome.files.items()):
                evidence.write_bytes(f"drills/{fault.name}/{number}/{name}", content)
            trial = msgspec.structs.replace(outcome.trial, control=HOW[kind])
            evidence.write(f"drills/{fault.name}/{number}/trial.json", trial)
            for line in summarise(outcome):
                progress(f"{fault.name}-{number}: {line}")


def _lose(stage: Stage) -> None:
    """Have the drill's sessions, which begin with its trial, wait for no standby; it is owed to take that back."""
    state = stage.until(lambda state: state if state.postgres.synchronous else None, WITNESS_SECONDS) or stage.state()
    replica = POSTGRES.replicas(state)[0]
    undo = ("sh", "-c", ASK_PRIMARY, "sh", RESET)
    stage.owe(InPod(pod=replica, container=POSTGRES.container, argv=undo, does="have the drill's commits wait again"))
    stage.kubectl.exec(replica, POSTGRES.container, ["sh", "-c", ASK_PRIMARY, "sh", SET])
