{{/* Combinations of values that cannot work, refused with the remedy before anything is installed. */}}
{{- define "tailrace.check" -}}
{{- if and (not .Values.nats.enabled) (not .Values.nats.external.servers) -}}
{{- fail "nats.external.servers: is empty while nats.enabled is off: name a NATS server (nats://host:4222), or switch nats.enabled on" -}}
{{- end -}}
{{- if and (not .Values.serviceAccount.create) (not .Values.serviceAccount.name) -}}
{{- fail "serviceAccount.name: is empty while serviceAccount.create is off: name the ServiceAccount that the operator runs as" -}}
{{- end -}}
{{- include "tailrace.exposure.check" . -}}
{{- if .Values.nats.enabled -}}
{{- include "tailrace.nats.checkSizes" . -}}
{{- end -}}
{{- include "tailrace.upgrade.check" . -}}
{{- end -}}
