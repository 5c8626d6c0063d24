"""Rules of the API server's own, for what Patroni does not know: who may change which object of this stack, and how.

They are not in the namespace, so they are not deleted with it, and need a cluster administrator's right to make one.
"""

from collections.abc import Mapping

import pulumi
from pulumi_kubernetes.admissionregistration.v1 import (
    MatchResourcesArgs,
    NamedRuleWithOperationsArgs,
    ParamKindArgs,
    ParamRefArgs,
    ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding,
    ValidatingAdmissionPolicyBindingSpecArgs,
    ValidatingAdmissionPolicySpecArgs,
    ValidationArgs,
    VariableArgs,
)
from pulumi_kubernetes.meta.v1 import LabelSelectorArgs, ObjectMetaArgs

from infra.names import PATRONI_LABELS, POSTGRES, labels
from infra.site import Site


def rule(
    site: Site,
    parent: pulumi.Resource,
    name: str,
    *,
    resource: str,
    names: list[str] | None,
    variables: Mapping[str, str],
    expression: str,
    message: str,
    failure_policy: str,
    for_each_member: bool = False,
    of_members: bool = True,
) -> list[pulumi.Resource]:
    """Return a rule for updates of objects of a kind in this stack's namespace, and where it counts.

    They are Postgres' objects, or with `of_members` false all of the kind. An update is refused unless
    `expression` (CEL, over `variables`) holds; with `for_each_member`, for each pod of Postgres that there is as
    `params`. `failure_policy` says what becomes of an update that the rule cannot judge.
    """
    # Where Pulumi was killed as it made one, the next `up` finds it, under another field manager, and would refuse it.
    meta = ObjectMetaArgs(
        name=f"{site.spec.namespace}-{name}",
        labels=labels(POSTGRES),
        annotations={"pulumi.com/patchForce": "true"},
    )
    options = pulumi.ResourceOptions(parent=parent)
    members = ParamRefArgs(
        namespace=site.spec.namespace,
        selector=LabelSelectorArgs(match_labels=PATRONI_LABELS),
        parameter_not_found_action="Allow",
    )
    policy = ValidatingAdmissionPolicy(
        f"postgres-{name}",
        metadata=meta,
        spec=ValidatingAdmissionPolicySpecArgs(
            failure_policy=failure_policy,
            param_kind=ParamKindArgs(api_version="v1", kind="Pod") if for_each_member else None,
            match_constraints=MatchResourcesArgs(
                object_selector=LabelSelectorArgs(match_labels=PATRONI_LABELS) if of_members else None,
                resource_rules=[
                    NamedRuleWithOperationsArgs(
                        api_groups=[""],
                        api_versions=["v1"],
                        operations=["UPDATE"],
                        resources=[resource],
                        resource_names=names,
                    )
                ],
            ),
            variables=[VariableArgs(name=each, expression=text) for each, text in variables.items()],
            validations=[ValidationArgs(expression=expression, message=message, reason="Invalid")],
        ),
        opts=options,
    )
    binding = ValidatingAdmissionPolicyBinding(
        f"postgres-{name}-binding",
        metadata=meta,
        spec=ValidatingAdmissionPolicyBindingSpecArgs(
            policy_name=f"{site.spec.namespace}-{name}",
            param_ref=members if for_each_member else None,
            validation_actions=["Deny"],
            match_resources=MatchResourcesArgs(
                namespace_selector=LabelSelectorArgs(match_labels={"kubernetes.io/metadata.name": site.spec.namespace})
            ),
        ),
        opts=options,
    )
    return [policy, binding]
