"""The witness as a cluster would get it."""

from tests.infra.recording import recorded
from tests.stack.settings import spec


def test_it_shares_its_members_processes_image_and_volume_and_has_no_secret() -> None:
    pod = recorded(spec()).one("StatefulSet", "postgres")["spec"]["template"]["spec"]
    postgres, witness = pod["containers"]
    assert pod["shareProcessNamespace"] is True
    assert witness["image"] == postgres["image"]
    assert {mount["name"] for mount in witness["volumeMounts"]} == {"data", "socket"}
    assert witness["securityContext"] == postgres["securityContext"]


def test_it_is_told_who_the_members_are() -> None:
    (_, witness) = recorded(spec(postgresMembers=5)).one("StatefulSet", "postgres")["spec"]["template"]["spec"][
        "containers"
    ]
    told = {entry["name"]: entry.get("value") for entry in witness["env"]}
    assert told["WITNESS_MEMBERS"] == "postgres-0 postgres-1 postgres-2 postgres-3 postgres-4"
    assert told["WITNESS_SCOPE"] == "postgres"


def test_a_lease_is_stale_when_patroni_allows_no_more_and_before_it_runs_out() -> None:
    made = spec(patroniLoopWaitSeconds=2, patroniRetryTimeoutSeconds=5)
    (_, witness) = recorded(made).one("StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("value") for entry in witness["env"]}
    assert int(told["WITNESS_STALE_SECONDS"]) == 12 < made.postgres.ttl_seconds


def test_a_record_that_is_held_is_refused_a_change_in_this_namespace_alone() -> None:
    made = recorded(spec())
    name = f"{spec().namespace}-held-record"
    (rule,) = made.one("ValidatingAdmissionPolicy", name)["spec"]["matchConstraints"]["resourceRules"]
    assert (rule["resources"], rule["resourceNames"], rule["operations"]) == (
        ["endpoints"],
        ["postgres-sync"],
        ["UPDATE"],
    )
    rules = made.one("ValidatingAdmissionPolicy", name)["spec"]["variables"]
    assert any("'witness.hms/hold-'" in rule["expression"] for rule in rules)  # as `witness.record` writes it
    where = made.one("ValidatingAdmissionPolicyBinding", name)["spec"]
    assert where["policyName"] == name
    assert where["validationActions"] == ["Deny"]
    selected = where["matchResources"]["namespaceSelector"]["matchLabels"]
    assert selected == {"kubernetes.io/metadata.name": spec().namespace}


def test_what_only_makes_a_failover_faster_lets_pass_what_it_cannot_judge() -> None:
    made = recorded(spec())
    policies = [rule.inputs for rule in made.of("ValidatingAdmissionPolicy")]
    failing = {rule["metadata"]["name"]: rule["spec"]["failurePolicy"] for rule in policies}
    name = spec().namespace
    careful = dict.fromkeys((f"{name}-held-record", f"{name}-marked-instance"), "Fail")
    assert failing == {**careful, **dict.fromkeys((f"{name}-own-key", f"{name}-own-status"), "Ignore")}
    members = made.one("ValidatingAdmissionPolicyBinding", f"{name}-own-key")["spec"]["paramRef"]
    assert members["namespace"] == name
    assert members["selector"]["matchLabels"] == {"application": "patroni", "cluster-name": "postgres"}


def test_without_it_members_are_as_they_were() -> None:
    made = recorded(spec(witness="off"))
    pod = made.one("StatefulSet", "postgres")["spec"]["template"]["spec"]
    assert [container["name"] for container in pod["containers"]] == ["postgres"]
    assert "shareProcessNamespace" not in pod
    assert made.of("ValidatingAdmissionPolicy") == []
    assert [c.name for c in made.inventory.workload("postgres").containers] == ["postgres"]


def test_without_witnesses_nobody_marks_instances_or_asks_them() -> None:
    made = recorded(spec(witness="off"))
    assert all("pods/status" not in rule["resources"] for rule in made.one("Role", "postgres")["rules"])
    assert not made.of("ValidatingAdmissionPolicy")
    assert not [flow for flow in made.inventory.flows if flow.source == "postgres" and flow.target == "app"]


def test_the_service_is_asked_where_it_answers() -> None:
    made = recorded(spec())
    (_, witness) = made.one("StatefulSet", "postgres")["spec"]["template"]["spec"]["containers"]
    told = {entry["name"]: entry.get("value") for entry in witness["env"]}
    app = made.one("Deployment", "app")["spec"]["template"]
    selected = dict(each.split("=") for each in told["WITNESS_INSTANCES"].split(","))
    assert selected.items() <= app["metadata"]["labels"].items()
    (container,) = app["spec"]["containers"]
    assert told["WITNESS_INSTANCES_PORT"] == str(int(container["ports"][0]["containerPort"]))
    flow = next(flow for flow in made.inventory.flows if flow.source == "postgres" and flow.target == "app")
    assert flow.port == container["ports"][0]["containerPort"]
