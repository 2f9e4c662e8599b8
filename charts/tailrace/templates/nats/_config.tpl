{{/*
NATS's configuration. The accounts, with their users' passwords, come from the Secret beside it: nothing secret is
rendered, and rendering twice gives the same.
*/}}
{{- define "tailrace.nats.config" -}}
{{- $nats := .Values.nats -}}
server_name: $POD_NAME
port: 4222
http_port: 8222
pid_file: /var/run/nats/nats.pid

# Accounts, users and their permissions.
include ./auth.conf

jetstream {
  store_dir: /data
  max_file_store: {{ include "tailrace.nats.maxFileStore" . }}
  max_memory_store: {{ $nats.jetstream.memoryStore.maxSize }}
  sync_interval: {{ $nats.jetstream.fileStore.syncInterval | quote }}
}

max_payload: {{ $nats.maxPayload }}
# A peer that vanished without a word is known after two missed pings.
ping_interval: "2s"
ping_max: 2
{{- if gt (int $nats.replicas) 1 }}

lame_duck_grace_period: {{ $nats.lameDuck.gracePeriod | quote }}
lame_duck_duration: {{ $nats.lameDuck.duration | quote }}

cluster {
  name: {{ include "tailrace.nats.name" . }}
  port: 6222
  # Pod addresses are of no use to clients: they go when the pod goes.
  no_advertise: true
  authorization: $ROUTES_AUTHORIZATION
  routes: $ROUTES
}
{{- end }}
{{- with $nats.extraConfig }}

{{ . | trim }}
{{- end }}
{{- end -}}

{{/* Seconds from a stop's beginning to its end: sending the clients away, and what the server then writes. */}}
{{- define "tailrace.nats.grace" -}}
{{- $duck := .Values.nats.lameDuck -}}
{{- if gt (int .Values.nats.replicas) 1 -}}
{{- add (include "tailrace.seconds" $duck.gracePeriod | int) (include "tailrace.seconds" $duck.duration | int) 20 -}}
{{- else -}}
30
{{- end -}}
{{- end -}}

{{/* A duration in s or m as seconds. */}}
{{- define "tailrace.seconds" -}}
{{- mul (regexFind "^[0-9]+" . | int) (ternary 60 1 (hasSuffix "m" .)) -}}
{{- end -}}

{{/* The other servers, with the password that the kubelet puts in: `$(…)` is expanded in the container's environment. */}}
{{- define "tailrace.nats.routes" -}}
{{- $routes := list -}}
{{- range $i := until (int .Values.nats.replicas) -}}
{{- $host := printf "%s-%d.%s" (include "tailrace.nats.name" $) $i (include "tailrace.nats.headless" $) -}}
{{- $routes = append $routes (printf "\"nats://routes:$(ROUTES_PASSWORD)@%s:6222\"" $host) -}}
{{- end -}}
[{{ join ", " $routes }}]
{{- end -}}
