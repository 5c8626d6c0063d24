"""What the claims say of the drills."""

from drills import control, control_postgres
from drills.catalogue import DRILLS
from hms.catalogue import default_catalogue_directory, load_catalogue


def test_claims_name_drills_that_exist() -> None:
    claims = load_catalogue(default_catalogue_directory()).claims
    named = {claim.where["drill"] for claim in claims if "drill" in claim.where}
    named |= {drill for claim in claims for drill in claim.faults_per_month}
    assert named <= {*DRILLS, control.DRILL, control_postgres.ASYNCHRONOUS.name, control_postgres.CARELESS.name}
