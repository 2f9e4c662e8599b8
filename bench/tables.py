"""The numbers as a person reads them: aims beside what was measured, then what each process used."""

from collections.abc import Callable

from bench.gateway_path import Report, Sides
from bench.load import Result, Window
from bench.stats import Spread, median

_AIMS = {"first p50": 1.5, "first p99": 5.0, "cpu": 30.0, "memory": 40.0}
_GATEWAY_PARTS = ("gateway", "workers", "nats-server", "load")
_BARE_PARTS = ("bare server", "load")


def render(report: Report) -> str:
    """The whole report, in Markdown."""
    machine = report.machine
    head = (
        f"{machine.cpu}, {machine.cores} cores, {machine.memory_gib} GiB, Python {machine.python}, {machine.system}; "
        f"load {machine.load_before} before the run, which took {report.seconds:.0f} s."
    )
    return "\n\n".join([head, _aims(report), *(_load(sides) for sides in report.loads)]) + "\n"


def _aims(report: Report) -> str:
    gateway, bare = report.unloaded.first_token_ms
    rows = _first_tokens("unloaded", [gateway], [bare])
    for sides in report.loads:
        rows += _first_tokens(sides.scenario.name, _firsts(sides.gateway), _firsts(sides.bare))
    for sides in report.loads:
        cpu = _per_event(sides.gateway, "gateway")
        rows.append(_row(f"gateway CPU per event, {sides.scenario.name}", "µs", _AIMS["cpu"], cpu))
        rows.append(f"| added delay per event, {sides.scenario.name}, p50 / p99 | | {_added_delay(sides)} | |")
    largest = max(report.loads, key=lambda sides: sides.scenario.streams)
    memory = _memory(largest.gateway, "gateway", largest.scenario.streams)
    rows.append(_row(f"gateway memory per stream, {largest.scenario.streams} open", "KiB", _AIMS["memory"], memory))
    return "\n".join(["| | aim | measured | |", "|---|---|---|---|", *rows])


def _first_tokens(name: str, gateway: list[Spread], bare: list[Spread]) -> list[str]:
    p50 = median([s.p50 for s in gateway]) - median([s.p50 for s in bare])
    p99 = median([s.p99 for s in gateway]) - median([s.p99 for s in bare])
    return [
        _row(f"added to the first token, {name}, p50", "ms", _AIMS["first p50"], p50),
        _row(f"added to the first token, {name}, p99", "ms", _AIMS["first p99"], p99),
    ]


def _added_delay(sides: Sides) -> str:
    p50, p99 = (
        median([measure(r) for r in sides.gateway]) - median([measure(r) for r in sides.bare])
        for measure in (_delay_p50, _delay_p99)
    )
    return f"{p50:.2f} / {p99:.2f} ms"


def _row(what: str, unit: str, aim: float, measured: float) -> str:
    verdict = "reached" if measured <= aim else "**missed**"
    return f"| {what} | ≤ {aim:g} {unit} | {measured:.1f} {unit} | {verdict} |"


def _load(sides: Sides) -> str:
    scenario = sides.scenario
    title = (
        f"**{scenario.name}**: {scenario.streams} streams at {scenario.pace:g} tokens/s, one token per event, "
        f"median of {scenario.rounds} round(s)"
    )
    memory = (
        _memories(sides, sides.gateway, ("gateway", "workers", "nats-server")),
        _memories(sides, sides.bare, ("bare server",)),
    )
    rows = [
        _pair("events per second", sides, "{:.0f}", _rate),
        _pair("delay per event, p50 / p99, ms", sides, "{:.2f} / {:.2f}", _delay_p50, _delay_p99),
        _pair("first token, p50 / p99, ms", sides, "{:.2f} / {:.2f}", _first_p50, _first_p99),
        f"| CPU per event, µs | {_cpu(sides.gateway, _GATEWAY_PARTS)} | {_cpu(sides.bare, _BARE_PARTS)} |",
        f"| memory per stream, KiB | {memory[0]} | {memory[1]} |",
        _pair("cores that other programs kept busy / idle cores", sides, "{:.2f} / {:.2f}", _others, _idle),
    ]
    return "\n".join([title, "", "| | through Tailrace | bare server |", "|---|---|---|", *rows])


def _pair(what: str, sides: Sides, form: str, *measures: Callable[[Result], float]) -> str:
    """A row: the medians, over the rounds of either side, of what the measures find in a round."""

    def cell(rounds: list[Result]) -> str:
        return form.format(*(median([measure(result) for result in rounds]) for measure in measures))

    return f"| {what} | {cell(sides.gateway)} | {cell(sides.bare)} |"


def _rate(result: Result) -> float:
    return _window(result).events / _window(result).seconds


def _delay_p50(result: Result) -> float:
    return _window(result).delay_ms.p50


def _delay_p99(result: Result) -> float:
    return _window(result).delay_ms.p99


def _first_p50(result: Result) -> float:
    return result.first_token_ms[0].p50


def _first_p99(result: Result) -> float:
    return result.first_token_ms[0].p99


def _others(result: Result) -> float:
    return _window(result).others_cores


def _idle(result: Result) -> float:
    return _window(result).idle_cores


def _window(result: Result) -> Window:
    if result.window is None:
        raise ValueError("this result has no window")
    return result.window


def _firsts(rounds: list[Result]) -> list[Spread]:
    return [result.first_token_ms[0] for result in rounds]


def _per_event(rounds: list[Result], part: str) -> float:
    return median([_window(r).cpu_s[part] * 1e6 / max(1, _window(r).events) for r in rounds])


def _cpu(rounds: list[Result], parts: tuple[str, ...]) -> str:
    return ", ".join(f"{part} {_per_event(rounds, part):.1f}" for part in parts)


def _memory(rounds: list[Result], part: str, streams: int) -> float:
    """From the first round: later ones find memory that earlier ones left."""
    window = _window(rounds[0])
    return (window.rss_open[part] - window.rss_before[part]) / 1024 / streams


def _memories(sides: Sides, rounds: list[Result], parts: tuple[str, ...]) -> str:
    return ", ".join(f"{part} {_memory(rounds, part, sides.scenario.streams):.1f}" for part in parts)
