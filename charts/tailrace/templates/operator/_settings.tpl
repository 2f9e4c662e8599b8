{{/* The operator's settings file. */}}
{{- define "tailrace.operator.settings" -}}
{{- $pullSecrets := list -}}
{{- range .Values.images.pullSecrets }}{{ $pullSecrets = append $pullSecrets .name }}{{ end -}}
watchNamespaces: {{ toJson .Values.watchNamespaces }}
images:
  {{- range $image := list "worker" "workerCpu" "workerSimulated" "gateway" "fetcher" }}
  {{ $image }}: {{ include "tailrace.image" (list $ $image) | quote }}
  {{- end }}
imagePullPolicy: {{ .Values.images.pullPolicy }}
imagePullSecrets: {{ toJson $pullSecrets }}
nats:
  servers: {{ include "tailrace.nats.servers" . }}
  account: {{ ternary "TAILRACE" .Values.nats.external.account .Values.nats.enabled }}
  advisories: {{ ternary true .Values.nats.external.advisories .Values.nats.enabled }}
  replicas: {{ ternary .Values.nats.replicas .Values.nats.external.replicas .Values.nats.enabled }}
  credentialsSecret: {{ .Values.nats.auth.secretName }}
  createCredentials: {{ and .Values.nats.enabled .Values.nats.auth.create }}
broker:
  {{- toYaml .Values.broker | nindent 2 }}
networkPolicies: {{ .Values.networkPolicy.enabled }}
modelRoot: {{ .Values.modelRoot | quote }}
log:
  {{- toYaml .Values.operator.log | nindent 2 }}
{{- end -}}
