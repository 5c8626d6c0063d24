"""The scenarios as data: whole, of known operations, and each a user class that Locust knows."""

import json
import subprocess
import sys

import pytest

from hms.paths import project_root
from loadtests.scenario import class_name, load_scenarios

# In a process of its own: to import Locust is to have the standard library patched.
LISTING = """
import json
from loadtests.operations import user_classes
print(json.dumps({
    name: {"doc": made.__doc__, "tasks": [task.__name__ for task in made.tasks],
           "tags": sorted({tag for task in made.tasks for tag in getattr(task, "locust_tag_set", ())})}
    for name, made in user_classes().items()
}))
"""


def test_a_class_is_called_like_its_scenario() -> None:
    assert class_name("cache-cold") == "CacheCold"
    assert class_name("first") == "First"


@pytest.mark.parametrize("name", load_scenarios())
def test_a_scenario_says_what_it_is_and_what_of(name: str) -> None:
    scenario = load_scenarios()[name]
    assert scenario.statement.endswith(".")
    assert scenario.zipf_exponent >= 0
    assert 0 <= scenario.misspelt_percent <= 100
    assert sum(scenario.operations.values()) == 100


def test_each_scenario_is_a_user_class_with_its_mix() -> None:

    done = subprocess.run(
        [sys.executable, "-c", LISTING], cwd=project_root(), capture_output=True, text=True, check=True
    )
    classes = json.loads(done.stdout)
    assert set(classes) == {class_name(name) for name in load_scenarios()}
    for name, scenario in load_scenarios().items():
        made = classes[class_name(name)]
        assert made["doc"] == scenario.statement
        assert {task: made["tasks"].count(task) for task in made["tasks"]} == scenario.operations
        assert made["tags"]
