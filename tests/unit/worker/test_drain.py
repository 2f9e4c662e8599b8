"""Where a draining worker's streams go."""

import pytest
from tailrace_broker.worker_reports import WorkerReports
from tailrace_protocol.reports import WorkerReport
from tailrace_worker.drain import plan, youngest
from tailrace_worker.peers import free_slots


@pytest.mark.parametrize(
    ("running", "peers", "left", "expected"),
    [(0, 5, 10, 0), (3, 5, 10, 3), (5, 3, 10, 3), (5, 0, 10, 0), (5, 0, 0.01, 0), (5, 0, 0, 5), (5, 2, -1, 5)],
)
def test_streams_go_where_there_is_room_and_all_go_at_the_deadline(running, peers, left, expected):
    decision = plan(running, peers, left)
    assert decision.hand_over == expected
    assert decision.reason


def test_the_youngest_go_first():
    assert youngest(["old", "middle", "young"], 2) == ["middle", "young"]
    assert youngest(["old"], 0) == []


def report(worker, state="ready", active=0, capacity=4, lease_s=2.0):
    return WorkerReport(worker, "default", "m", state, capacity, active, lease_s=lease_s)


def test_only_live_ready_peers_count_and_never_oneself():
    peers = WorkerReports()
    peers.take(report("me"), 0.0)
    peers.take(report("busy", active=3), 0.0)
    peers.take(report("over", active=9), 0.0)
    peers.take(report("loading", state="loading"), 0.0)
    peers.take(report("draining", state="draining"), 0.0)
    assert free_slots("me", peers.live(1.0)) == 1
    assert free_slots("me", peers.live(2.0)) == 0


def test_a_newer_report_replaces_the_older_one():
    peers = WorkerReports()
    peers.take(report("a", active=0), 0.0)
    peers.take(report("a", active=4), 1.0)
    assert free_slots("me", peers.live(1.5)) == 0
