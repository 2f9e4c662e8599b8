"""How many cores a gateway uses."""

from tailrace_gateway.cpu import CpuMeter


def test_cores_are_cpu_seconds_a_second_over_looks_that_are_long_enough():
    used, now = [10.0], [100.0]
    meter = CpuMeter(lambda: used[0], lambda: now[0])
    used[0], now[0] = 11.0, 101.9
    assert meter.cores() == 0.0
    now[0] = 102.0
    assert meter.cores() == 0.5
    used[0], now[0] = 12.0, 103.0
    assert meter.cores() == 0.5, "what the last look told"
