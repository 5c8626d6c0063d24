"""What keeps a record that a witness holds as it is: a rule of the API server's own. See `docs/decisions/witness.md`.

It is not in the namespace, so it is not deleted with it, and needs the right to make one (a cluster's administrator's).
"""

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import (
    MatchResourcesArgs,
    NamedRuleWithOperationsArgs,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpecArgs,
    ValidatingAdmissionPolicySpecArgs,
    ValidationArgs,
    VariableArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.names import HOLD_PREFIX, POSTGRES, labels
from infra.site import Site

_VARIABLES = {
    "was": "has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}",
    "will": "has(object.metadata.annotations) ? object.metadata.annotations : {}",
    "leader": "'leader' in variables.was ? variables.was['leader'] : ''",
    # A hold is for a lease of one leader. Another leader's record is its own.
    "held": f"variables.was.exists(name, name.startsWith('{HOLD_PREFIX}') && "
    """variables.was[name].contains('"leader": "' + variables.leader + '"'))""",
    "same_leader": "('leader' in variables.will ? variables.will['leader'] : '') == variables.leader",
    "same_voters": "['sync_standby', 'quorum'].all(name, "
    "(name in variables.will ? variables.will[name] : '') == (name in variables.was ? variables.was[name] : ''))",
}


def held_record(site: Site, parent: pulumi.Resource) -> list[pulumi.Resource]:
    """Return the rule and where it counts: the leader's changes of `postgres-sync` fail while a witness holds it."""
    name = f"{site.spec.namespace}-held-record"
    meta = ObjectMetaArgs(name=name, labels=labels(POSTGRES))
    options = pulumi.ResourceOptions(parent=parent)
    policy = ValidatingAdmissionPolicy(
        "postgres-held-record",
        metadata=meta,
        spec=ValidatingAdmissionPolicySpecArgs(
            failure_policy="Fail",
            match_constraints=MatchResourcesArgs(
                resource_rules=[
                    NamedRuleWithOperationsArgs(
                        api_groups=[""],
                        api_versions=["v1"],
                        operations=["UPDATE"],
                        resources=["endpoints"],
                        resource_names=[f"{POSTGRES}-sync"],
                    )
                ]
            ),
            variables=[VariableArgs(name=name, expression=expression) for name, expression in _VARIABLES.items()],
            validations=[
                ValidationArgs(
                    expression="!variables.held || !variables.same_leader || variables.same_voters",
                    message="a witness holds this record: its standby may lack what the others have",
                    reason="Invalid",
                )
            ],
        ),
        opts=options,
    )
    binding = ValidatingAdmissionPolicyBinding(
        "postgres-held-record-binding",
        metadata=meta,
        spec=ValidatingAdmissionPolicyBindingSpecArgs(
            policy_name=name,
            validation_actions=["Deny"],
            match_resources=MatchResourcesArgs(
                namespace_selector=LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": site.spec.namespace})
            ),
        ),
        opts=options,
    )
    return [policy, binding]
