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
What streams need of ingress-nginx: nothing is held back, and silence may last. Gateways send a heartbeat every 10 s (50 s
at most, `StreamingGateway.spec.heartbeat`), so that limits of other proxies, 60 s as a rule, are not met either.
*/}}
{{- define "tailrace.exposure.nginx" -}}
nginx.ingress.kubernetes.io/proxy-buffering: "off"
nginx.ingress.kubernetes.io/proxy-request-buffering: "off"
nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"
nginx.ingress.kubernetes.io/proxy-send-timeout: "3600"
nginx.ingress.kubernetes.io/proxy-body-size: 64m
nginx.ingress.kubernetes.io/proxy-http-version: "1.1"
{{- end -}}

{{/*
Text where a path is not the gateways' own, which begin with /v1, but a prefix that must go before a request reaches them.
*/}}
{{- define "tailrace.exposure.strips" -}}
{{- if not (regexMatch "^/(v1(/.*)?)?$" .) }}yes{{ end -}}
{{- end -}}

{{/* An Ingress passes paths on as they are; what strips a prefix is a matter of each controller, and differs. */}}
{{- define "tailrace.exposure.check" -}}
{{- range $i, $entry := .Values.exposure.ingresses -}}
{{- if include "tailrace.exposure.strips" (.path | default "/") -}}
{{- fail (printf "exposure.ingresses[%d].path: an Ingress would pass %s on to gateways, which serve /v1 and would answer 404: leave it out and give the gateway a host of its own, or use exposure.httpRoutes, which strips the path" $i .path) -}}
{{- end -}}
{{- end -}}
{{- end -}}
