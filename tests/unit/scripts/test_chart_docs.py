"""The chart's documentation: what values.yaml says stands in README and schema, and every value says something."""

import json
from pathlib import Path

import chart_docs
import pytest

ROOT = Path(__file__).parents[3]
CHART = ROOT / "charts" / "tailrace"


def test_the_readme_and_the_schema_say_what_the_values_say():
    values = chart_docs.documented((CHART / "values.yaml").read_text())
    for name, written in (("README.md", chart_docs.readme), ("values.schema.json", chart_docs.schema)):
        page = (CHART / name).read_text()
        assert written(page, values) == page


def test_a_value_without_a_meaning_is_refused_with_its_line():
    with pytest.raises(ValueError, match=r"line 4: a\.c has no `# --"):
        chart_docs.documented("a:\n  # -- Fine.\n  b: 1\n  c: 1\n")


def test_a_meaning_may_be_several_lines_and_covers_what_is_below():
    [value] = chart_docs.documented("# Not this.\n# -- One\n# two.\na:\n  b: 1\n")
    assert (value.path, value.default, value.meaning) == (("a",), {"b": 1}, "One two.")


def test_a_meaning_with_a_bar_does_not_break_the_table():
    [value] = chart_docs.documented("# -- One|two.\na: 1\n")
    assert value.row == "| `a` | `1` | One&#124;two. |"


def test_the_table_replaces_the_old_one_and_nothing_else():
    page = f"before\n{chart_docs.START}old\n{chart_docs.END}after\n"
    written = chart_docs.readme(page, chart_docs.documented("# -- One.\na: 1\n"))
    assert written.startswith("before\n")
    assert written.endswith("after\n")
    assert "old" not in written
    assert "| `a` | `1` | One. |" in written


def test_meanings_become_descriptions_where_a_schema_is_not_shared():
    text = json.dumps({"properties": {"a": {"properties": {"b": {"type": "string"}}}, "c": {"$ref": "#/d"}}})
    values = chart_docs.documented("a:\n  # -- One.\n  b: 1\nc:\n  # -- Two.\n  d: 1\n")
    written = json.loads(chart_docs.schema(text, values))
    assert written["properties"]["a"]["properties"]["b"]["description"] == "One."
    assert written["properties"]["c"] == {"$ref": "#/d"}
