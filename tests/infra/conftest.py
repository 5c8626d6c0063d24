import pytest

from tests.infra.recording import Recording, recorded
from tests.stack.settings import stack_spec


@pytest.fixture(scope="session", params=["ci", "prod"])
def recording(request: pytest.FixtureRequest) -> Recording:
    """Record the program's resources for a stack that may be drilled and for one that may not."""
    return recorded(stack_spec(str(request.param)))


@pytest.fixture(scope="session")
def ci() -> Recording:
    return recorded(stack_spec("ci"))


@pytest.fixture(scope="session")
def prod() -> Recording:
    return recorded(stack_spec("prod"))
