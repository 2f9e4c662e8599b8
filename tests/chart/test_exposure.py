"""How gateways are reached from outside: Ingresses and HTTPRoutes with the time limits that streams need."""

import pytest
from tailrace_operator.resources.gateway import GatewaySpec

from .helm import CHART, ROOT, RefusedError

INGRESS = {"host": "llm.example.com", "namespace": "team-a"}
ROUTE = {"namespace": "team-a", "hostnames": ["llm.example.com"], "parentRefs": [{"name": "public"}]}
NGINX = "nginx.ingress.kubernetes.io/"


def ingresses(helm, *entries):
    return helm.template({"exposure": {"ingresses": list(entries)}}).of("Ingress")


def routes(helm, *entries):
    return helm.template({"exposure": {"httpRoutes": list(entries)}}).of("HTTPRoute")


def backend(ingress):
    [rule] = ingress["spec"]["rules"]
    [path] = rule["http"]["paths"]
    return path["backend"]["service"]


def test_an_ingress_leads_to_the_default_gateway_of_its_namespace(helm):
    [ingress] = ingresses(helm, INGRESS)
    assert ingress["metadata"]["namespace"] == "team-a"
    assert backend(ingress) == {"name": "tailrace-gateway", "port": {"name": "http"}}
    assert ingress["spec"]["rules"][0]["host"] == "llm.example.com"
    assert "ingressClassName" not in ingress["spec"]
    assert "tls" not in ingress["spec"]


def test_an_ingress_leads_to_another_gateway_by_its_name(helm):
    [ingress] = ingresses(helm, {**INGRESS, "gateway": "internal", "path": "/v1", "className": "nginx"})
    assert backend(ingress)["name"] == "tailrace-gateway-internal"
    assert ingress["spec"]["rules"][0]["http"]["paths"][0]["path"] == "/v1"
    assert ingress["spec"]["ingressClassName"] == "nginx"


def test_nginx_neither_holds_tokens_back_nor_cuts_silent_streams(helm):
    [ingress] = ingresses(helm, INGRESS)
    annotations = ingress["metadata"]["annotations"]
    assert annotations[NGINX + "proxy-buffering"] == "off"
    assert annotations[NGINX + "proxy-read-timeout"] == "3600"
    assert annotations[NGINX + "proxy-send-timeout"] == "3600"


def test_the_admins_annotations_win(helm):
    [ingress] = ingresses(helm, {**INGRESS, "annotations": {NGINX + "proxy-read-timeout": "7200", "a": "b"}})
    assert ingress["metadata"]["annotations"][NGINX + "proxy-read-timeout"] == "7200"
    assert ingress["metadata"]["annotations"][NGINX + "proxy-buffering"] == "off"
    assert ingress["metadata"]["annotations"]["a"] == "b"


def test_an_ingress_ends_tls_with_the_named_secret(helm):
    [ingress] = ingresses(helm, {**INGRESS, "tls": {"secretName": "llm-tls"}})
    assert ingress["spec"]["tls"] == [{"hosts": ["llm.example.com"], "secretName": "llm-tls"}]


def test_an_ingress_keeps_its_name_when_the_list_is_reordered(helm):
    other = {**INGRESS, "host": "other.example.com"}

    def names(*entries):
        return {item["spec"]["rules"][0]["host"]: item["metadata"]["name"] for item in ingresses(helm, *entries)}

    assert names(INGRESS, other) == names(other, INGRESS)
    assert len(set(names(INGRESS, other).values())) == 2


def test_an_httproute_leads_to_the_gateway_without_time_limits(helm):
    [route] = routes(helm, ROUTE)
    [rule] = route["spec"]["rules"]
    assert rule["timeouts"] == {"request": "0s", "backendRequest": "0s"}
    assert rule["backendRefs"] == [{"name": "tailrace-gateway", "port": 80}]
    assert route["spec"]["parentRefs"] == [{"name": "public"}]
    assert route["spec"]["hostnames"] == ["llm.example.com"]
    assert route["metadata"]["namespace"] == "team-a"


def test_an_httproute_without_hostnames_takes_its_parents(helm):
    [route] = routes(helm, {key: value for key, value in ROUTE.items() if key != "hostnames"})
    assert "hostnames" not in route["spec"]


@pytest.mark.parametrize("path", ["/llm", "/v1x", "/v2", "/llm/v1"])
def test_an_ingress_cannot_strip_a_path_and_says_so(helm, path):
    with pytest.raises(RefusedError) as refusal:
        ingresses(helm, INGRESS, {**INGRESS, "path": path})
    assert f"exposure.ingresses[1].path: an Ingress would pass {path} on" in str(refusal.value)
    assert "use exposure.httpRoutes, which strips the path" in str(refusal.value)


def test_an_httproute_leads_to_another_gateway(helm):
    [route] = routes(helm, {**ROUTE, "gateway": "internal"})
    assert route["spec"]["rules"][0]["backendRefs"][0]["name"] == "tailrace-gateway-internal"


@pytest.mark.parametrize(
    ("path", "stripped"),
    [("/llm", True), ("/llm/", True), ("/v1x", True), ("/", False), ("/v1", False), ("/v1/", False)],
)
def test_an_httproute_strips_what_is_not_the_gateways_own_path(helm, path, stripped):
    [route] = routes(helm, {**ROUTE, "path": path})
    [rule] = route["spec"]["rules"]
    assert [match["path"] for match in rule["matches"]] == [{"type": "PathPrefix", "value": path}]
    rewrite = {"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}
    assert rule.get("filters", []) == ([rewrite] if stripped else [])


def test_the_page_and_the_chart_name_the_heartbeat_that_gateways_have():
    seconds = f"{GatewaySpec().heartbeat.seconds:g}"
    assert f"a heartbeat every {seconds} seconds" in (ROOT / "docs" / "install.md").read_text()
    assert f"a heartbeat every {seconds} s " in (CHART / "templates" / "exposure" / "_exposure.tpl").read_text()


def test_nothing_is_exposed_unless_asked_for(helm):
    objects = helm.template()
    assert objects.none("Ingress")
    assert objects.none("HTTPRoute")


@pytest.mark.parametrize("name", ["a" * 41, "Internal"])
def test_a_name_that_no_gateway_can_have_is_refused(helm, name):
    with pytest.raises(RefusedError, match="/exposure/ingresses/0/gateway"):
        ingresses(helm, {**INGRESS, "gateway": name})
    assert ingresses(helm, {**INGRESS, "gateway": "a" * 40})
