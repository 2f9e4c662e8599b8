{{/* What the release's objects are called, and the labels that find them. */}}

{{- define "tailrace.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{/* 40 characters leave room for every suffix below the 63 of a label. */}}
{{- define "tailrace.fullname" -}}
{{- $name := include "tailrace.name" . -}}
{{- $named := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $named .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "tailrace.operator.name" -}}
{{- include "tailrace.fullname" . }}-operator
{{- end -}}

{{- define "tailrace.nats.name" -}}
{{- include "tailrace.fullname" . }}-nats
{{- end -}}

{{- define "tailrace.nats.headless" -}}
{{- include "tailrace.nats.name" . }}-headless
{{- end -}}

{{- define "tailrace.serviceAccountName" -}}
{{- default (ternary (include "tailrace.operator.name" .) "" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* Labels that never change, for selectors. Takes (list context component). */}}
{{- define "tailrace.selector" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ include "tailrace.name" $root }}
app.kubernetes.io/instance: {{ $root.Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of an object. Takes (list context component). */}}
{{- define "tailrace.labels" -}}
{{- $root := index . 0 -}}
{{- $own := fromYaml (include "tailrace.selector" .) -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "tailrace" -}}
{{- $_ := set $own "app.kubernetes.io/version" ($root.Chart.AppVersion | toString) -}}
{{- $_ := set $own "helm.sh/chart" (printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_") -}}
{{- merge $own $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/*
Labels of pods. Without the versions: an upgrade of the chart does not replace pods that it does not change.
Takes (list context component more).
*/}}
{{- define "tailrace.podLabels" -}}
{{- $root := index . 0 -}}
{{- $own := fromYaml (include "tailrace.selector" .) -}}
{{- $_ := set $own "app.kubernetes.io/managed-by" $root.Release.Service -}}
{{- $_ := set $own "app.kubernetes.io/part-of" "tailrace" -}}
{{- merge $own (index . 2) $root.Values.commonLabels | toYaml -}}
{{- end -}}

{{/*
The metadata of an object. Takes a dict: root, component, name, and if wanted namespace, annotations, labels, and
clusterScoped for an object without a namespace.
*/}}
{{- define "tailrace.metadata" -}}
{{- $root := .root -}}
{{- $labels := fromYaml (include "tailrace.labels" (list $root .component)) -}}
{{- $annotations := merge dict (.annotations | default dict) $root.Values.commonAnnotations -}}
metadata:
  name: {{ .name }}
  {{- if not .clusterScoped }}
  namespace: {{ .namespace | default $root.Release.Namespace }}
  {{- end }}
  labels:
    {{- merge $labels (.labels | default dict) | toYaml | nindent 4 }}
  {{- with $annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}
