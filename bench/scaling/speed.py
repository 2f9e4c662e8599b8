"""`python -m bench.scaling.speed`: how many models the operator's `decide` can look at in a second, on one core.

Each model has ten minutes of history, pauses that it remembers, and another load every second: what a decision costs in
the long run, and not on an empty state.
"""

import argparse
import random
import time

from tailrace_operator.scaling import Policy, Sample, State, decide

_HISTORY_S = 700
_ROUNDS = 5
_SERVICE_S = 8.0


def measure(models: int, rounds: int = _ROUNDS, history_s: int = _HISTORY_S) -> float:
    """Decisions a second; the best round, since other programs only ever make it slower."""
    policy = Policy(slots=8, utilization=0.7)
    draw = random.Random(1)
    prepared = [_prepared(random.Random(number), policy, history_s) for number in range(min(models, 16))]
    states = [prepared[number % len(prepared)] for number in range(models)]
    best = 0.0
    for second in range(history_s, history_s + rounds):
        looks = [_look(second, draw.randrange(40), second * 3) for _ in states]
        began = time.perf_counter()
        states = [decide(float(second), [look], s, policy).state for look, s in zip(looks, states, strict=True)]
        best = max(best, models / (time.perf_counter() - began))
    return best


def _prepared(draw: random.Random, policy: Policy, history_s: int) -> State:
    state = State.at_start(0.0, 1)
    for second in range(history_s):
        load = draw.randrange(40) if second % 60 < 40 else 0
        state = decide(float(second), [_look(second, load, second * 3)], state, policy).state
    return state


def _look(second: int, in_flight: int, accepted: int) -> Sample:
    active = min(in_flight, 24)
    return Sample(float(second), accepted + in_flight, active, in_flight - active, 3, 0, start_s=60.0)


def main() -> None:
    """Parse the command line, measure, print."""
    parser = argparse.ArgumentParser(prog="bench.scaling.speed", description=__doc__)
    parser.add_argument("--models", type=int, default=1_000)
    models = parser.parse_args().models
    rate = measure(models)
    print(f"{rate:,.0f} decisions a second on one core: {models} models take {1000 * models / rate:.0f} ms")


if __name__ == "__main__":
    main()
