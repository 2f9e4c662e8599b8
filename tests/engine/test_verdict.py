"""Whether an answer was complete in the log already."""

from types import SimpleNamespace

import pytest


def params(**changes):
    return SimpleNamespace(**{"eos_token_id": 2, "stop_token_ids": [7], "max_tokens": 5, "min_tokens": 0, **changes})


@pytest.mark.parametrize(
    ("tokens", "changes", "room", "ending"),
    [
        ([], {}, 100, None),
        ([1, 1], {}, 100, None),
        ([1, 2], {}, 100, ("stop", None)),
        ([1, 7], {}, 100, ("stop", 7)),
        ([1, 2], {"eos_token_id": None}, 100, None),
        ([1, 1, 1, 1, 1], {}, 100, ("length", None)),
        ([1, 1, 1], {}, 3, ("length", None)),
    ],
)
def test_the_last_token_decides(tokens, changes, room, ending):
    from tailrace_worker.engines.vllm import verdict

    found = verdict.of_log(tokens, params(**changes), room)
    assert (None if found is None else (found.finish, found.stop)) == ending
