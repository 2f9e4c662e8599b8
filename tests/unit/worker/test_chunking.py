"""Output chunking: the first token at once, then so many tokens or so long, whichever comes first."""

from tailrace_protocol.settings import ChunkingSettings
from tailrace_worker.chunking import Gathering


def gathering(tokens=4, delay=0.5, begun=True):
    return Gathering(ChunkingSettings(tokens=tokens, max_delay_s=delay), begun=begun)


def test_nothing_held_back_is_never_due():
    assert not gathering().due(1e9)
    assert gathering().deadline() is None


def test_the_first_token_goes_at_once():
    first = gathering(begun=False)
    assert first.room() == 1
    first.add(1, now=0.0)
    assert first.due(0.0)


def test_enough_tokens_go():
    held = gathering(tokens=3)
    held.add(2, now=0.0)
    assert not held.due(0.0)
    assert held.room() == 1
    held.add(1, now=0.1)
    assert held.due(0.1)


def test_the_oldest_token_waits_no_longer_than_the_delay():
    held = gathering(delay=0.5)
    held.add(1, now=10.0)
    held.add(1, now=10.4)
    assert held.deadline() == 10.5
    assert not held.due(10.49)
    assert held.due(10.5)


def test_what_has_gone_is_not_held_back():
    held = gathering(begun=False)
    held.add(1, now=0.0)
    held.flushed()
    assert held.deadline() is None
    assert held.room() == 4
    held.add(1, now=1.0)
    assert not held.due(1.0)
