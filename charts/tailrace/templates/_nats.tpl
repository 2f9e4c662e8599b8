{{/* Where NATS is, how large its parts are, and what must not be asked of it. */}}

{{/* A quantity in Mi, Gi or Ti as a whole number of mebibytes; 0 for any other notation. */}}
{{- define "tailrace.mebibytes" -}}
{{- $number := regexFind "^[0-9]+" . | int64 -}}
{{- $unit := regexFind "[A-Za-z]+$" . -}}
{{- $factor := get (dict "Mi" 1 "Gi" 1024 "Ti" 1048576) $unit | default 0 | int64 -}}
{{- ternary (mul $number $factor) 0 (regexMatch "^[0-9]+(Mi|Gi|Ti)$" .) -}}
{{- end -}}

{{/*
The servers that operator, gateways and workers are told, as a JSON list. Three servers are named one by one: a client
whose server died tries the next one at once, where the Service might lead it to the dead one again.
*/}}
{{- define "tailrace.nats.servers" -}}
{{- $name := include "tailrace.nats.name" . -}}
{{- $servers := list -}}
{{- if not .Values.nats.enabled -}}
{{- $servers = .Values.nats.external.servers -}}
{{- else if eq (int .Values.nats.replicas) 1 -}}
{{- $servers = list (printf "nats://%s.%s.svc:4222" $name .Release.Namespace) -}}
{{- else -}}
{{- range $i := until (int .Values.nats.replicas) -}}
{{- $host := printf "%s-%d.%s.%s.svc" $name $i (include "tailrace.nats.headless" $) $.Release.Namespace -}}
{{- $servers = append $servers (printf "nats://%s:4222" $host) -}}
{{- end -}}
{{- end -}}
{{- toJson $servers -}}
{{- end -}}

{{/* The file store's limit. A tenth of the volume is left: a broker whose disk is full stops. */}}
{{- define "tailrace.nats.maxFileStore" -}}
{{- $store := .Values.nats.jetstream.fileStore -}}
{{- $volume := include "tailrace.mebibytes" $store.pvc.size | int64 -}}
{{- $store.maxSize | default (printf "%dMi" (div (mul $volume 9) 10)) -}}
{{- end -}}

{{/* The container's memory limit in MiB, or 0 where there is none or it is written otherwise. */}}
{{- define "tailrace.nats.memoryLimit" -}}
{{- $limits := .Values.nats.resources.limits | default dict -}}
{{- include "tailrace.mebibytes" ($limits.memory | default "" | toString) -}}
{{- end -}}

{{/* What the schema cannot say, because it needs two values. */}}
{{- define "tailrace.nats.checkSizes" -}}
{{- $limit := include "tailrace.nats.memoryLimit" . | int64 -}}
{{- $memory := .Values.nats.jetstream.memoryStore.maxSize -}}
{{- $needed := add (include "tailrace.mebibytes" $memory | int64) 256 -}}
{{- if and $limit (lt $limit $needed) -}}
{{- fail (printf "nats.resources.limits.memory: %dMi cannot hold a memory store of %s and the server itself: set at least %dMi, or lower nats.jetstream.memoryStore.maxSize" $limit $memory $needed) -}}
{{- end -}}
{{- $volume := .Values.nats.jetstream.fileStore.pvc.size -}}
{{- $file := include "tailrace.nats.maxFileStore" . -}}
{{- if gt (include "tailrace.mebibytes" $file | int64) (include "tailrace.mebibytes" $volume | int64) -}}
{{- fail (printf "nats.jetstream.fileStore.maxSize: %s does not fit on a volume of %s (nats.jetstream.fileStore.pvc.size)" $file $volume) -}}
{{- end -}}
{{- $payloads := .Values.broker.payloadsMaxBytes -}}
{{- if gt (include "tailrace.mebibytes" $payloads | int64) (include "tailrace.mebibytes" $file | int64) -}}
{{- fail (printf "broker.payloadsMaxBytes: %s do not fit into a file store of %s: lower it, or raise nats.jetstream.fileStore.pvc.size" $payloads $file) -}}
{{- end -}}
{{- $largest := include "tailrace.mebibytes" .Values.nats.maxPayload | int64 -}}
{{- if gt $largest 64 -}}
{{- fail (printf "nats.maxPayload: NATS takes messages of 64Mi at most, not %s; larger requests travel through the object store" .Values.nats.maxPayload) -}}
{{- end -}}
{{- $duck := .Values.nats.lameDuck.duration -}}
{{- if lt (include "tailrace.seconds" $duck | int) 30 -}}
{{- fail (printf "nats.lameDuck.duration: NATS refuses less than 30s, and %s is given" $duck) -}}
{{- end -}}
{{- end -}}
