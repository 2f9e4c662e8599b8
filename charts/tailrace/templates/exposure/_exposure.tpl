{{/* The Service of a gateway, as the operator names it. */}}
{{- define "tailrace.exposure.service" -}}
{{- ternary "tailrace-gateway" (printf "tailrace-gateway-%s" .) (eq . "default") -}}
{{- end -}}

{{/* A name for one entry of a list, which stays the same when the list is reordered. Takes (list context gateway entry-id). */}}
{{- define "tailrace.exposure.name" -}}
{{- $root := index . 0 -}}
{{- printf "%s-%s-%s" (include "tailrace.fullname" $root | trunc 24 | trimSuffix "-") (index . 1 | trunc 28 | trimSuffix "-") (index . 2 | sha256sum | trunc 8) -}}
{{- end -}}

{{/*
What streams need of ingress-nginx: nothing is held back, and silence may last. Gateways send a heartbeat every 15 s, so
that limits of other proxies, 60 s as a rule, are not met either.
*/}}
{{- define "tailrace.exposure.nginx" -}}
nginx.ingress.kubernetes.io/proxy-buffering: "off"
nginx.ingress.kubernetes.io/proxy-request-buffering: "off"
nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
nginx.ingress.kubernetes.io/proxy-send-timeout: "3600"
nginx.ingress.kubernetes.io/proxy-body-size: 64m
nginx.ingress.kubernetes.io/proxy-http-version: "1.1"
{{- end -}}
