"""What a cluster would get, asserted on the plain inputs that the program registers."""

import ast
import json
from pathlib import Path

import msgspec

from hms.images import IMAGES, USER_IDS
from hms.inventory import decode_inventory
from hms.quantity import parse_bytes, parse_millicores
from hms.spec import SECRET_KEYS
from tests.infra.recording import SECRET, SIGNATURE, Object, Recording, plain_strings, record, recorded, secret_value
from tests.stack.settings import spec, stack_spec

POSTGRES_NAMES = {"postgres", "postgres-config", "postgres-replicas", "postgres-pods"}


class TestPods:
    def test_every_container_has_requests_and_limits_of_cpu_and_memory(self, recording: Recording) -> None:
        assert {name for name, _ in recording.containers()} >= {"postgres", "redis", "sentinel", "app"}
        for name, container in recording.containers():
            requests, limits = container["resources"]["requests"], container["resources"]["limits"]
            assert 0 < parse_millicores(requests["cpu"]) <= parse_millicores(limits["cpu"]), name
            assert 0 < parse_bytes(requests["memory"]) <= parse_bytes(limits["memory"]), name

    def test_no_pod_has_a_privilege(self, recording: Recording) -> None:
        for name, pod in recording.pods():
            context = pod["securityContext"]
            assert context["runAsNonRoot"] is True, name
            assert context["runAsUser"] >= 1000, name
            assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
            assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(), name
            assert all("hostPath" not in volume for volume in pod["volumes"]), name
        for name, container in recording.containers():
            context = container["securityContext"]
            assert context["privileged"] is False, name
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["readOnlyRootFilesystem"] is True, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name

    def test_pods_run_as_the_user_of_their_image(self, recording: Recording) -> None:
        for name, pod in recording.pods():
            image = pod["containers"][0]["image"].rpartition("/")[2].partition(":")[0]
            assert image in IMAGES
            assert pod["securityContext"]["runAsUser"] == USER_IDS[image], name

    def test_images_are_named_by_a_digest_of_their_content(self, recording: Recording) -> None:
        for _, container in recording.containers():
            registry, _, tag = container["image"].rpartition(":")
            assert registry.startswith("localhost/hms/")
            assert len(tag) >= 12
            assert int(tag, 16) >= 0
            assert container["imagePullPolicy"] == "IfNotPresent"

    def test_stateful_pods_are_never_two_on_a_node_while_another_is_free(self, recording: Recording) -> None:
        for workload in recording.of("StatefulSet"):
            (rule,) = workload.inputs["spec"]["template"]["spec"]["topologySpreadConstraints"]
            assert rule["whenUnsatisfiable"] == "DoNotSchedule"
            assert rule["topologyKey"] == "kubernetes.io/hostname"
            assert rule["maxSkew"] == 1
            assert rule["labelSelector"] == workload.inputs["spec"]["selector"]

    def test_what_serves_is_probed(self, recording: Recording) -> None:
        for name, container in recording.containers():
            if name.startswith("load-data"):
                continue
            # A member serves without its witness: nobody waits for that one.
            probes = {"livenessProbe"} if container["name"] == "witness" else {"readinessProbe", "livenessProbe"}
            assert probes <= container.keys(), name
            slowest = container["livenessProbe"]["periodSeconds"] * container["livenessProbe"]["failureThreshold"]
            assert slowest >= 30, f"{name}: a liveness probe that is quick to kill makes an overload an outage"

    def test_only_patroni_speaks_to_the_api_server(self, recording: Recording) -> None:
        with_token = {name for name, pod in recording.pods() if pod["automountServiceAccountToken"]}
        assert with_token == {"postgres"}

    def test_no_pod_learns_of_services_by_its_environment(self, recording: Recording) -> None:
        assert all(pod["enableServiceLinks"] is False for _, pod in recording.pods())


class TestSecrets:
    def test_every_secret_of_the_configuration_reaches_the_cluster_marked_as_secret(self, ci: Recording) -> None:
        values: set[str] = set()
        for resource in ci.of("Secret"):
            marked = resource.inputs["stringData"]
            assert marked[SIGNATURE] == SECRET, resource.name
            values |= set(marked["value"].values())
        assert values == {secret_value(key) for key in SECRET_KEYS}

    def test_no_secret_is_plain_in_any_input_nor_in_the_inventory(self, recording: Recording) -> None:
        plain = [text for resource in recording.resources for text in plain_strings(resource.inputs)]
        plain += list(plain_strings(msgspec.to_builtins(recording.inventory)))
        assert len(plain) > 500
        for key in SECRET_KEYS:
            assert not [text for text in plain if secret_value(key) in text], key

    def test_no_container_gets_a_secret_by_its_environment(self, recording: Recording) -> None:
        for name, container in recording.containers():
            assert not container.get("envFrom"), name
            for variable in container.get("env", []):
                assert "secretKeyRef" not in (variable.get("valueFrom") or {}), f"{name}: {variable['name']}"

    def test_a_container_gets_only_the_keys_that_it_uses(self, ci: Recording) -> None:
        keys = {
            (name, volume["secret"]["secretName"]): {item["key"] for item in volume["secret"]["items"]}
            for name, pod in ci.pods()
            for volume in pod["volumes"]
            if "secret" in volume
        }
        assert keys["app", "postgres-credentials"] == {"app-password"}
        assert keys["app", "postgres-tls"] == {"ca.crt"}
        assert keys["app", "redis-credentials"] == {"app-password"}
        assert keys["app", "app-credentials"] == {"admin-key"}
        assert all("secretName" not in str(k) or v for k, v in keys.items())
        for (name, _), found in keys.items():
            if name.startswith("load-data"):
                assert found <= {"app-password", "ca.crt", "internal-key"}

    def test_secret_files_are_closed_to_others(self, recording: Recording) -> None:
        modes = {v["secret"]["defaultMode"] for _, pod in recording.pods() for v in pod["volumes"] if "secret" in v}
        assert modes == {0o440}

    def test_a_stack_that_must_not_be_broken_has_no_password_for_drills(self, ci: Recording, prod: Recording) -> None:
        def keys(made: Recording) -> set[str]:
            return {key for resource in made.of("Secret") for key in resource.inputs["stringData"]["value"]}

        assert "drill-password" in keys(ci)
        assert "drill-password" not in keys(prod)

    def test_a_changed_configuration_rolls_the_pods_that_read_it(self) -> None:
        before, after = recorded(spec()), recorded(spec(redisMaxMemory="128Mi"))

        def marks(made: Recording, name: str) -> Object:
            template = made.one("StatefulSet", name)["spec"]["template"]
            annotations: Object = template["metadata"]["annotations"]
            return annotations

        assert marks(before, "redis") != marks(after, "redis")
        assert marks(before, "postgres") == marks(after, "postgres")
        assert marks(before, "sentinel") == marks(after, "sentinel")


class TestNetwork:
    def test_everything_is_denied_first(self, recording: Recording) -> None:
        policy = recording.one("NetworkPolicy", "default-deny")["spec"]
        assert policy["podSelector"] == {}
        assert sorted(policy["policyTypes"]) == ["Egress", "Ingress"]
        assert not policy.get("ingress")
        assert not policy.get("egress")

    def test_what_the_policies_allow_is_what_the_inventory_declares(self, recording: Recording) -> None:
        declared = {(flow.source, flow.target, flow.port) for flow in recording.inventory.flows}
        assert _allowed(recording, "ingress", "from") == declared
        assert _allowed(recording, "egress", "to") == declared

    def test_no_rule_is_open_to_all(self, recording: Recording) -> None:
        for resource in recording.of("NetworkPolicy"):
            policy = resource.inputs["spec"]
            for rule in policy.get("ingress") or []:
                assert rule["from"], resource.name
                assert all(peer.get("podSelector") or peer.get("namespaceSelector") for peer in rule["from"])
            for rule in policy.get("egress") or []:
                assert rule["to"], resource.name

    def test_only_postgres_reaches_addresses_outside_for_the_api_server_alone(self, recording: Recording) -> None:
        for resource in recording.of("NetworkPolicy"):
            blocks = [r for r in resource.inputs["spec"].get("egress") or [] if any("ipBlock" in p for p in r["to"])]
            if resource.inputs["metadata"]["name"] == "postgres":
                assert [[port["port"] for port in rule["ports"]] for rule in blocks] == [[443, 6443]]
            else:
                assert not blocks

    def test_drills_reach_the_databases_only_where_they_are_allowed(self, ci: Recording, prod: Recording) -> None:
        assert any(flow.source == "drill-writer" for flow in ci.inventory.flows)
        assert not any(flow.source == "drill-writer" for flow in prod.inventory.flows)


def _allowed(recording: Recording, direction: str, peers: str) -> set[tuple[str, str, int]]:
    """Return (source, target, port) of every rule between pods, as one direction of the policies has it."""
    found = set()
    for resource in recording.of("NetworkPolicy"):
        policy = resource.inputs["spec"]
        here = policy["podSelector"].get("matchLabels", {}).get("app.kubernetes.io/name")
        for rule in policy.get(direction) or []:
            for peer in rule[peers]:
                there = (peer.get("podSelector") or {}).get("matchLabels", {}).get("app.kubernetes.io/name")
                if there is None or here is None:
                    continue
                source, target = (there, here) if direction == "ingress" else (here, there)
                found |= {(str(source), str(target), int(port["port"])) for port in rule["ports"]}
    return found


class TestNamespace:
    def test_pod_security_is_restricted(self, recording: Recording) -> None:
        (namespace,) = recording.of("Namespace")
        labels = namespace.inputs["metadata"]["labels"]
        assert {labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {"restricted"}

    def test_the_quota_has_room_for_the_stack_at_its_largest_and_guests(self, recording: Recording) -> None:
        (quota,) = recording.of("ResourceQuota")
        hard = quota.inputs["spec"]["hard"]
        declared = sum(
            (w.replicas + (1 if w.kind == "Deployment" else 0)) * c.limits.memory_limit_bytes
            for w in recording.inventory.workloads
            for c in w.containers
        )
        assert parse_bytes(hard["limits.memory"]) >= declared + 4 * 1024**3
        assert int(hard["pods"]) >= sum(w.replicas for w in recording.inventory.workloads) + 10

    def test_everything_namespaced_is_in_the_one_namespace(self, recording: Recording) -> None:
        names = ("held-record", "marked-instance", "own-key", "own-status")
        rules = {f"{recording.inventory.namespace}-{name}" for name in names}
        for resource in recording.resources:
            if resource.kind.startswith("ValidatingAdmissionPolicy"):
                assert resource.inputs["metadata"]["name"] in rules
            elif resource.kind and resource.kind != "Namespace":
                assert resource.inputs["metadata"]["namespace"] == recording.inventory.namespace, resource.name


class TestAvailability:
    def test_each_workload_has_a_budget_that_gives_up_one_pod_at_a_time(self, recording: Recording) -> None:
        budgets = {b.inputs["metadata"]["name"]: b.inputs["spec"] for b in recording.of("PodDisruptionBudget")}
        assert budgets.keys() == {w.name for w in recording.inventory.workloads}
        for workload in recording.inventory.workloads:
            assert budgets[workload.name]["maxUnavailable"] == 1
            assert budgets[workload.name]["selector"]["matchLabels"] == workload.selector

    def test_the_app_is_rolled_without_a_gap_and_scaled_by_its_use(self, recording: Recording) -> None:
        app = recording.one("Deployment", "app")["spec"]
        assert app["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
        (container,) = app["template"]["spec"]["containers"]
        sleep = container["lifecycle"]["preStop"]["sleep"]["seconds"]
        assert 0 < sleep < app["template"]["spec"]["terminationGracePeriodSeconds"]
        scaler = recording.one("HorizontalPodAutoscaler", "app")["spec"]
        assert scaler["minReplicas"] == app["replicas"] <= scaler["maxReplicas"]

    def test_the_primary_is_patronis_to_name(self, recording: Recording) -> None:
        assert "selector" not in recording.one("Service", "postgres")["spec"]
        assert not recording.of("Endpoints", "EndpointSlice")
        assert {r.inputs["metadata"]["name"] for r in recording.of("Service")} >= POSTGRES_NAMES

    def test_patroni_may_change_its_own_endpoints_and_nothing_else_of_the_kind(self, recording: Recording) -> None:
        rules = recording.one("Role", "postgres")["rules"]
        changing = {"patch", "update", "delete", "deletecollection", "*"}
        for rule in rules:
            assert "*" not in rule["resources"] + rule["verbs"] + rule["apiGroups"]
            if changing & set(rule["verbs"]) and rule["resources"] == ["endpoints"]:
                assert set(rule["resourceNames"]) == {f"postgres{end}" for end in ("", "-config", "-failover", "-sync")}
        assert {resource for rule in rules for resource in rule["resources"]} == {"endpoints", "pods", "pods/status"}

    def test_each_redis_node_and_sentinel_has_an_address_that_outlives_its_pod(self, recording: Recording) -> None:
        redis = recording.inventory.redis
        table = recording.one("ConfigMap", "redis-config")["data"]
        for names, key in ((redis.nodes, "nodes"), (redis.sentinels, "sentinels")):
            addresses = dict(line.split() for line in table[key].splitlines())
            assert tuple(addresses) == names
            assert len(set(addresses.values())) == len(names)
            for name in names:
                service = recording.one("Service", name)["spec"]
                assert service["selector"] == {"statefulset.kubernetes.io/pod-name": name}
                assert service["publishNotReadyAddresses"] is True

    def test_postgres_keeps_data_and_wal_on_volumes_of_their_own(self, recording: Recording) -> None:
        claims = recording.one("StatefulSet", "postgres")["spec"]["volumeClaimTemplates"]
        assert [claim["metadata"]["name"] for claim in claims] == ["data", "wal"]

    def test_a_new_image_or_environment_makes_a_new_load_and_nothing_else_does(self) -> None:
        def name(**changed: object) -> str:
            (job,) = recorded(spec(**changed)).of("Job")
            return str(job.inputs["metadata"]["name"])

        assert name() == name(redisMaxMemory="128Mi")
        assert name() != name(registry="registry.example/hms")

    def test_a_changed_limit_changes_one_workload(self) -> None:
        before, after = recorded(spec()), recorded(spec(appMemoryLimit="400Mi"))
        changed = {
            old.inputs["metadata"]["name"]
            for old, new in zip(
                before.of("StatefulSet", "Deployment"), after.of("StatefulSet", "Deployment"), strict=True
            )
            if old.inputs != new.inputs
        }
        assert changed == {"app"}


class TestInventory:
    def test_it_says_what_the_cluster_gets(self, recording: Recording) -> None:
        for workload in recording.inventory.workloads:
            made = recording.one(workload.kind, workload.name)["spec"]
            assert made["replicas"] == workload.replicas
            assert made["selector"]["matchLabels"] == workload.selector
            assert workload.selector.items() <= made["template"]["metadata"]["labels"].items()
            for declared, container in zip(workload.containers, made["template"]["spec"]["containers"], strict=True):
                assert container["name"] == declared.name
                assert container["image"] == declared.image
                assert parse_bytes(container["resources"]["limits"]["memory"]) == declared.limits.memory_limit_bytes
                assert parse_millicores(container["resources"]["limits"]["cpu"]) == declared.limits.cpu_limit_millicores
                assert tuple(port["containerPort"] for port in container["ports"]) == declared.ports

    def test_it_survives_the_way_through_pulumis_output(self, recording: Recording) -> None:
        text = json.dumps(msgspec.to_builtins(recording.inventory))
        assert decode_inventory(text.encode(), source="test") == recording.inventory


def test_components_bear_the_type_of_their_class() -> None:
    """A type token that does not match its class is a lie in every state file."""
    checked = []
    for path in sorted((Path(__file__).parents[2] / "infra").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and "ComponentResource" in ast.unparse(
                node.bases[0] if node.bases else ast.Constant("")
            ):
                assert f"'hms:{path.stem}:{node.name}'" in ast.unparse(node), f"{path.name}: {node.name}"
                checked.append(node.name)
    assert len(checked) >= 6


def test_the_program_declares_the_same_each_time(ci: Recording) -> None:
    assert record(stack_spec("ci")).resources == ci.resources
