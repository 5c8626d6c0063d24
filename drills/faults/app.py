"""Faults of the app that the Kubernetes API alone can do."""

from drills.faults.pods import delete_by_force, is_another
from drills.stage import Injection, Proof, Stage
from hms.errors import HmsError


class DeleteOne:
    """One of the app's pods is deleted by force: its requests break, the Service must lead to the others."""

    name = "app-delete-one"
    does = "deletes one pod of the app by force"
    undone = "by the Deployment, which makes another"
    proved_by = "the API server has no pod by that name any more"
    stays_true = "the other pods answer; nothing that was acknowledged is lost"
    seconds = 15.0

    def inject(self, stage: Stage) -> Injection:
        """Delete the first of the app's pods."""
        pods = stage.kubectl.pods(stage.inventory.workload("app").selector)
        running = [str(pod["metadata"]["name"]) for pod in pods if pod["status"].get("phase") == "Running"]
        if len(running) < 2:
            raise HmsError(f"the app has {len(running)} running pods: one cannot be deleted while others serve")
        return delete_by_force(stage, running[0])

    def prove(self, stage: Stage, injection: Injection) -> Proof:
        """Ask the API server for the pod."""
        gone = is_another(stage, injection)
        return Proof(bool(gone), gone or "the pod is still there")

    def undo(self, stage: Stage, injection: Injection) -> None:
        """Do nothing: the Deployment makes another."""
