"""What the operator may do: least privilege, all of it in one place, nothing beyond."""

import pytest

from .helm import CASES, CHART

READ = {"get", "list", "watch"}
#: All that the operator may do where models are. A new right is a line here, and a reason in the review. It deletes no
#: gateway, claim or Secret, but an API server may ask who changes their owners for that right.
ON_MODELS = {
    ("tailrace.dev", "streamingmodels"): READ | {"patch"},
    ("tailrace.dev", "streaminggateways"): READ | {"create", "patch", "delete"},
    ("tailrace.dev", "streamingmodels/status"): {"patch"},
    ("tailrace.dev", "streaminggateways/status"): {"patch"},
    ("tailrace.dev", "streamingmodels/finalizers"): {"update"},
    ("tailrace.dev", "streaminggateways/finalizers"): {"update"},
    ("apps", "deployments"): READ | {"create", "patch", "delete"},
    ("batch", "jobs"): READ | {"create", "patch", "delete"},
    ("", "configmaps"): READ | {"create", "patch", "delete"},
    ("", "services"): READ | {"create", "patch", "delete"},
    ("", "persistentvolumeclaims"): READ | {"create", "patch", "delete"},
    ("policy", "poddisruptionbudgets"): READ | {"create", "patch", "delete"},
    ("networking.k8s.io", "networkpolicies"): READ | {"create", "patch", "delete"},
    ("", "pods"): {"list", "watch", "patch"},
    ("", "namespaces"): {"get"},
    ("", "secrets"): {"create"},
    ("", "secrets", "tailrace-nats"): {"get", "patch", "delete"},
    ("", "events"): {"list", "create"},
}
AT_HOME = {
    ("", "secrets"): {"create"},
    ("", "secrets", "tailrace-nats-auth"): {"get"},
}


def rights(role):
    """A role's rights: (group, resource[, name]) → verbs."""
    found = {}
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", [None]):
                    key = (group, resource) if name is None else (group, resource, name)
                    found.setdefault(key, set()).update(rule["verbs"])
    return found


def roles(objects):
    return [*objects.of("Role"), *objects.of("ClusterRole")]


@pytest.fixture(params=CASES, ids=lambda path: path.stem)
def objects(request, helm):
    return helm.template(files=(request.param,))


def test_no_rule_has_a_wildcard(objects):
    for role in roles(objects):
        for rule in role["rules"]:
            assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"], *rule.get("resourceNames", [])}
            assert "nonResourceURLs" not in rule


def test_no_secret_can_be_listed_and_only_named_ones_read_or_changed(objects):
    for role in roles(objects):
        for key, verbs in rights(role).items():
            if key[1] == "secrets":
                assert not verbs & {"list", "watch", "deletecollection"}
                assert len(key) == 3 or verbs == {"create"}


def test_nobody_can_run_commands_in_pods_or_give_away_rights(objects):
    forbidden = {"pods/exec", "pods/attach", "pods/portforward", "serviceaccounts/token", "roles", "clusterroles"}
    for role in roles(objects):
        resources = {key[1] for key in rights(role)}
        verbs = set().union(*rights(role).values())
        assert not resources & forbidden
        assert not verbs & {"escalate", "bind", "impersonate"}


def test_in_cluster_mode_the_operator_has_these_rights_and_no_others(helm):
    objects = helm.template()
    assert rights(objects.one("ClusterRole", "-operator-models")) == ON_MODELS
    assert rights(objects.one("Role")) == AT_HOME
    binding = objects.one("ClusterRoleBinding")
    assert binding["roleRef"]["name"] == objects.one("ClusterRole", "-operator-models")["metadata"]["name"]


def test_in_namespaced_mode_it_has_them_in_the_named_namespaces_alone(helm):
    objects = helm.template({"watchNamespaces": ["a", "b"]})
    assert objects.none("ClusterRole", "-operator-models")
    assert objects.none("ClusterRoleBinding")
    found = {role["metadata"]["namespace"]: rights(role) for role in objects.of("Role")}
    assert found == {"a": ON_MODELS, "b": ON_MODELS, "tailrace-system": AT_HOME}
    assert {binding["metadata"]["namespace"] for binding in objects.of("RoleBinding")} == {"a", "b", "tailrace-system"}


def test_every_binding_binds_the_operators_account_to_a_role_of_the_release(objects):
    account = objects.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"]
    names = {(role["kind"], role["metadata"].get("namespace"), role["metadata"]["name"]) for role in roles(objects)}
    for binding in (*objects.of("RoleBinding"), *objects.of("ClusterRoleBinding")):
        [subject] = binding["subjects"]
        assert (subject["kind"], subject["name"], subject["namespace"]) == (
            "ServiceAccount",
            account,
            "tailrace-system",
        )
        role = (binding["roleRef"]["kind"], binding["metadata"].get("namespace"), binding["roleRef"]["name"])
        assert role in names


@pytest.mark.parametrize(
    "values",
    [
        {"nats": {"auth": {"create": False, "secretName": "mine"}}},
        {"nats": {"enabled": False, "auth": {"secretName": "mine"}, "external": {"servers": ["nats://a:4222"]}}},
    ],
    ids=["brought along", "external"],
)
def test_a_secret_that_somebody_else_makes_is_only_read(helm, values):
    home = rights(helm.template(values).one("Role"))
    assert home[("", "secrets", "mine")] == {"get"}
    assert ("", "secrets") not in home


def test_only_the_operators_pod_and_the_tests_have_a_token(objects):
    for name, (described, spec) in objects.pods().items():
        component = described["labels"]["app.kubernetes.io/component"]
        assert (spec.get("automountServiceAccountToken") is not False) == (component in ("operator", "test")), name


def test_the_tests_account_has_no_rights(objects):
    tester = objects.one("Pod")["spec"]["serviceAccountName"]
    bound = [
        subject["name"]
        for binding in (*objects.of("RoleBinding"), *objects.of("ClusterRoleBinding"))
        for subject in binding["subjects"]
    ]
    assert tester not in bound


def test_people_with_the_clusters_roles_can_see_and_change_models(helm):
    objects = helm.template()
    view, edit = objects.one("ClusterRole", "-view"), objects.one("ClusterRole", "-edit")
    prefix = "rbac.authorization.k8s.io/aggregate-to-"
    assert {key for key in view["metadata"]["labels"] if key.startswith(prefix)} == {
        prefix + role for role in ("view", "edit", "admin")
    }
    assert {key for key in edit["metadata"]["labels"] if key.startswith(prefix)} == {
        prefix + role for role in ("edit", "admin")
    }
    assert set().union(*rights(view).values()) == READ
    assert all(key[0] == "tailrace.dev" for key in rights(edit))


@pytest.mark.parametrize("values", [{"rbac": {"aggregateClusterRoles": False}}, {"crds": {"enabled": False}}])
def test_peoples_roles_come_with_the_crds_and_can_be_left_out(helm, values):
    assert helm.template(values).none("ClusterRole", "-view")


def test_without_rbac_and_account_there_are_none(helm):
    objects = helm.template(files=(CHART / "ci" / "minimal.yaml",))
    assert roles(objects) == []
    assert objects.none("ServiceAccount", "-operator")
    assert objects.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "streams"
