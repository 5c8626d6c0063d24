import pytest
from hypothesis import given, settings
from hypothesis.strategies import dictionaries, integers, none, one_of, sampled_from, text

from hms.errors import InvalidSpecError
from hms.spec import SECRET_KEYS, StackSpec
from tests.stack.settings import defaults, spec, stack_spec


def problems(**changed: object) -> tuple[str, ...]:
    with pytest.raises(InvalidSpecError) as caught:
        spec(**changed)
    return caught.value.problems


def test_the_defaults_are_a_valid_stack() -> None:
    made = spec()
    assert made.namespace == "hms-test"
    assert made.drills == "forbidden"
    assert made.postgres.members == 3
    assert made.postgres.synchronous_mode == "quorum"
    assert made.redis.min_replicas_to_write == 1


@pytest.mark.parametrize(
    ("stack", "drills"), [("dev", "allowed"), ("ci", "allowed"), ("staging", "forbidden"), ("prod", "forbidden")]
)
def test_the_stacks_of_the_checkout_are_valid_and_only_two_may_be_broken(stack: str, drills: str) -> None:
    made = stack_spec(stack)
    assert made.drills == drills
    assert made.namespace == f"hms-{stack}"


def test_numbers_are_read_from_texts_as_pulumi_hands_them_over() -> None:
    assert spec(postgresMembers="5", sentinels=5, sentinelQuorum="3") == spec(
        postgresMembers=5, sentinels="5", sentinelQuorum=3
    )


def test_every_bad_value_is_reported_at_once_by_key_value_and_bound() -> None:
    found = problems(
        drills="perhaps",
        postgresMembers=4,
        postgresMemoryLimit="lots",
        patroniTtlSeconds=5,
        redisMaxMemory="2Gi",
        sentinelQuorum=1,
        sentinelDownAfterMs=100,
        appReplicas=1,
        appPoolSize="many",
        namespace="Not_A_Name",
        registry="no spaces please",
        unheardOf="x",
    )
    text = "\n".join(found)
    for expected in (
        "drills: 'perhaps' is not one of forbidden, allowed",
        "postgresMembers: 4 is not odd",
        "postgresMemoryLimit: 'lots' is not a quantity of bytes",
        "patroniTtlSeconds: 5 is not within 20 to 3600 (Patroni's own bound)",
        "redisMaxMemory: 2Gi is above 384Mi",
        "sentinelQuorum: 1 is not within 2 (the majority) to 3",
        "sentinelDownAfterMs: 100 is not within 500",
        "appReplicas: 1 is not within 2",
        "appPoolSize: 'many' is not a whole number",
        "namespace: 'Not_A_Name' is not a name",
        "registry: 'no spaces please'",
        "unheardOf: no such setting",
    ):
        assert expected in text, expected


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"patroniLoopWaitSeconds": 10, "patroniRetryTimeoutSeconds": 10}, "= 30"),
        ({"patroniLoopWaitSeconds": 0}, "patroniLoopWaitSeconds: 0 is not within 1"),
        ({"patroniRetryTimeoutSeconds": 2}, "patroniRetryTimeoutSeconds: 2 is not within 3"),
        ({"postgresCpuRequest": "3"}, "postgresCpuLimit: 2 is below postgresCpuRequest 3"),
        ({"appMemoryRequest": "1Gi"}, "appMemoryLimit: 384Mi is below appMemoryRequest 1Gi"),
        ({"appMaxReplicas": 2}, "appMaxReplicas: 2 is below appReplicas 3"),
        (
            {"postgresMaxConnections": 50},
            "postgresMaxConnections: three fifths of 50, reserved for the app, is 30, below 90",
        ),
        ({"redisMinReplicasToWrite": 3}, "redisMinReplicasToWrite: 3 is not below redisNodes 3"),
        ({"postgresMembers": 1}, "postgresSynchronousMode: 'quorum' needs 3 postgresMembers, not 1"),
        ({"postgresSynchronousMode": "on"}, "witness: 'on' needs postgresSynchronousMode 'quorum', not 'on'"),
        ({"sentinels": 4, "sentinelQuorum": 3}, "sentinels: 4 is not odd"),
        ({"apiServerCidr": "everywhere"}, "apiServerCidr: 'everywhere'"),
    ],
)
def test_a_rule_that_is_broken_is_named(changed: dict[str, object], expected: str) -> None:
    assert expected in "\n".join(problems(**changed))


def test_a_rule_is_not_held_against_a_value_that_nobody_wrote() -> None:
    assert problems(postgresMembers="two") == ("postgresMembers: 'two' is not a whole number",)


def test_a_missing_key_is_named() -> None:
    values = defaults()
    del values["redisNodes"]
    with pytest.raises(InvalidSpecError, match="redisNodes: missing"):
        StackSpec.parse(values, stack="test", source="test")


def test_a_misspelt_key_gets_the_nearest() -> None:
    assert problems(postgresMember=3) == ("postgresMember: no such setting; did you mean postgresMembers?",)


class TestCluster:
    def test_none_is_refused_with_the_commands_that_choose_one(self) -> None:
        (only,) = problems(testCluster="")
        assert "no cluster chosen" in only
        assert "pulumi config set --stack test kubeconfig FILE" in only

    @pytest.mark.parametrize("alone", [{"kubeconfig": "/k"}, {"context": "c"}])
    def test_half_a_choice_is_refused(self, alone: dict[str, object]) -> None:
        assert "one without the other" in problems(testCluster="", **alone)[0]

    def test_a_kubeconfig_with_its_context_is_a_choice(self) -> None:
        chosen = spec(testCluster="", kubeconfig="~/.kube/prod", context="prod").cluster
        assert (chosen.kubeconfig, chosen.context) == ("~/.kube/prod", "prod")


def test_secrets_are_no_settings_of_the_spec() -> None:
    assert spec(**dict.fromkeys(SECRET_KEYS, "secret")) == spec()


def test_shared_buffers_are_a_quarter_of_the_memory() -> None:
    assert spec(postgresMemoryLimit="2Gi").postgres.shared_buffers_bytes == 512 * 1024**2


KEYS = sorted(defaults())
MAY_BE_EMPTY = {"testCluster", "kubeconfig", "context", "namespace", "storageClass", "appIngressNamespace"}


def parsed(values: dict[str, object]) -> StackSpec | InvalidSpecError:
    try:
        return StackSpec.parse(values, stack="test", source="test")
    except InvalidSpecError as error:
        return error


@settings(deadline=None)
@given(dictionaries(sampled_from([*KEYS, "other"]), one_of(none(), integers(), text(max_size=8)), max_size=6))
def test_any_values_give_a_spec_or_every_problem_and_never_another_error(changed: dict[str, object]) -> None:
    made = parsed({**defaults(), **changed})
    if isinstance(made, InvalidSpecError):
        assert made.problems
        assert len(set(made.problems)) == len(made.problems)
        return
    cycle = made.postgres.loop_wait_seconds + 2 * made.postgres.retry_timeout_seconds
    assert cycle <= made.postgres.ttl_seconds
    assert made.redis.max_memory_bytes < made.redis.resources.memory_limit_bytes
    assert made.sentinel.members // 2 < made.sentinel.quorum <= made.sentinel.members


@pytest.mark.parametrize("key", [key for key in KEYS if key not in MAY_BE_EMPTY])
def test_each_setting_is_read_and_an_empty_or_absent_one_is_named(key: str) -> None:
    assert any(key in problem for problem in problems(**{key: ""}))
    assert f"{key}: missing" in problems(**{key: None})
