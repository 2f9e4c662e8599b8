"""The chart's copy of a CRD: a template, so that `helm upgrade` upgrades it, behind two values.

Helm never upgrades what lies in a chart's `crds/` folder. `crds.enabled` leaves the CRDs to somebody else, and
`crds.keep` keeps them, and so every custom resource, when the release is uninstalled.
"""

from tailrace_operator.crds.definitions import text_of
from tailrace_operator.crds.schema import Schema

_KEEP = """\
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
"""


def chart_text_of(definition: Schema) -> str:
    """A CRD as a template of the chart."""
    literal = text_of(definition).replace("{{", '{{ "{{" }}')
    name = f"  name: {definition['metadata']['name']}\n"
    head, tail = literal.split(name, 1)
    return "{{- if .Values.crds.enabled }}\n" + head + name + _KEEP + tail + "{{- end }}\n"
