"""What to try, once everything runs."""

import json
from collections.abc import Sequence

from tailrace_operator.resources import StreamingModel

_QUESTION = [{"role": "user", "content": "What is the capital of France?"}]


def welcome(models: Sequence[StreamingModel], ports: Sequence[int], python: str) -> str:
    """A `curl` line and a five-line program for the first model, ready to paste."""
    name = models[0].metadata.name
    base = f"http://127.0.0.1:{ports[0]}/v1"
    body = json.dumps({"model": name, "stream": True, "messages": _QUESTION}, separators=(",", ":"))
    lines = [f"{', '.join(model.metadata.name for model in models)}: serving at {base}"]
    lines += [f"  another gateway, for resuming elsewhere: http://127.0.0.1:{port}/v1" for port in ports[1:]]
    lines += [
        "",
        "Try it:",
        "",
        f"  curl -N {base}/chat/completions -H 'Content-Type: application/json' -d '{body}'",
        "",
    ]
    lines += [f"or, in {python}:", "", *(f"  {line}" for line in _program(name, base)), ""]
    lines += ["Ctrl-C stops everything."]
    return "\n".join(lines)


def _program(name: str, base: str) -> list[str]:
    return [
        "from openai import OpenAI",
        f'client = OpenAI(base_url="{base}", api_key="unused")',
        'messages = [{"role": "user", "content": "Tell me a story about a river."}]',
        f'for chunk in client.chat.completions.create(model="{name}", messages=messages, stream=True):',
        '    print(chunk.choices[0].delta.content or "" if chunk.choices else "", end="", flush=True)',
    ]
