"""StreamingGateway: defaults, and every rule on both sides of its limit."""

import pytest
from pydantic import ValidationError
from tailrace_protocol.settings import GatewaySettings, NatsSettings


def refusal(make, name="default", **spec):
    with pytest.raises(ValidationError) as caught:
        make.gateway(name, **spec)
    return "; ".join(error["msg"] for error in caught.value.errors())


def test_the_shortest_gateway_has_the_defaults_of_the_protocol(make):
    spec, settings = make.gateway().spec, GatewaySettings("a", NatsSettings([]))

    assert (spec.replicas, spec.service.type, spec.drain.deadline.seconds) == (2, "ClusterIP", 300)
    assert spec.limits.max_body_bytes.value == 64 * 2**20
    assert spec.limits.max_unsent_bytes.value == settings.max_unsent_bytes
    assert spec.heartbeat.seconds == settings.heartbeat_s


def test_a_gateway_needs_no_spec():
    from tailrace_operator.resources import StreamingGateway

    metadata = {"name": "default"}
    parsed = StreamingGateway.parse(
        {"apiVersion": "tailrace.dev/v1alpha1", "kind": "StreamingGateway", "metadata": metadata}
    )
    assert parsed.spec.replicas == 2


@pytest.mark.parametrize("name", ["a", "edge-2", "a" * 40])
def test_names_that_are_taken(make, name):
    assert make.gateway(name).metadata.name == name


@pytest.mark.parametrize("name", ["", "A", "a.b", "-a", "a-", "a" * 41])
def test_names_that_are_refused(make, name):
    assert "must be a DNS label" in refusal(make, name)


@pytest.mark.parametrize(
    ("path", "good", "bad"),
    [
        ("replicas", (0, 1000), (-1, 1001)),
        ("service.type", ("ClusterIP", "LoadBalancer", "NodePort"), ("ExternalName",)),
        ("limits.maxBodyBytes", ("1Ki", "64Mi"), ("1023", "65Mi")),
        ("limits.maxUnsentBytes", ("4Ki", "64Mi"), ("4095", "65Mi")),
        ("heartbeat", ("1s", "50s"), ("999ms", "51s")),
        ("drain.deadline", ("0s", "1h"), ("61m",)),
        ("resources.cpu", ("1m", "1k"), ("0", "2k")),
        ("resources.memory", ("64Mi", "2Gi"), ("63Mi", "3Gi")),
        ("resources.memoryLimit", ("256Mi", "1Ti"), ("255Mi", "2Ti")),
    ],
)
def test_bounds(make, path, good, bad):
    block, _, field = path.rpartition(".")
    for value in good:
        assert make.gateway(**({block: {field: value}} if block else {field: value}))
    for value in bad:
        assert refusal(make, **({block: {field: value}} if block else {field: value}))


@pytest.mark.parametrize(
    ("service", "says"),
    [
        ({"type": "LoadBalancer", "loadBalancerClass": "a/b", "externalTrafficPolicy": "Local"}, None),
        ({"type": "NodePort", "externalTrafficPolicy": "Local"}, None),
        ({"type": "NodePort", "loadBalancerClass": "a/b"}, "loadBalancerClass is for type LoadBalancer"),
        ({"loadBalancerClass": "a/b"}, "loadBalancerClass is for type LoadBalancer"),
        ({"externalTrafficPolicy": "Local"}, "externalTrafficPolicy is for type LoadBalancer or NodePort"),
        ({"annotations": {f"a{number}": "" for number in range(33)}}, "at most 32"),
    ],
)
def test_what_fits_the_services_type(make, service, says):
    if says is None:
        assert make.gateway(service=service)
    else:
        assert says in refusal(make, service=service)


def test_memory_fits_its_limit(make):
    assert make.gateway(resources={"memory": "2048Mi", "memoryLimit": "2Gi"})
    said = refusal(make, resources={"memory": "2049Mi", "memoryLimit": "2Gi"})
    assert said == "memory must not exceed memoryLimit: lower it or raise memoryLimit"
