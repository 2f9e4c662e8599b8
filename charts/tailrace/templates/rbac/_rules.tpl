{{/*
What the operator may do where models live. Secrets cannot be listed or watched: the one that it makes there is named,
and users' tokens reach workers through the kubelet. No rule has a wildcard; a test holds both.

Where the API server enforces it (OwnerReferencesPermissionEnforcement), who changes the owners of an object must be allowed
to delete it. The owners of default gateways, of their Secret and of caches change; the operator deletes none of them.
*/}}
{{- define "tailrace.rbac.models" -}}
- apiGroups: [tailrace.dev]
  resources: [streamingmodels]
  verbs: [get, list, watch, patch]
# A namespace's default gateway is made with its first model.
- apiGroups: [tailrace.dev]
  resources: [streaminggateways]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [tailrace.dev]
  resources: [streamingmodels/status, streaminggateways/status]
  verbs: [patch]
# Owner references that block deletion need it.
- apiGroups: [tailrace.dev]
  resources: [streamingmodels/finalizers, streaminggateways/finalizers]
  verbs: [update]
- apiGroups: [apps]
  resources: [deployments]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [batch]
  resources: [jobs]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [""]
  resources: [configmaps, services, persistentvolumeclaims]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [policy]
  resources: [poddisruptionbudgets]
  verbs: [get, list, watch, create, patch, delete]
- apiGroups: [networking.k8s.io]
  resources: [networkpolicies]
  verbs: [get, list, watch, create, patch, delete]
# Conditions say why pods do not start; which worker's pod goes when there are too many is said by an annotation.
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch, patch]
# Streams end at once, with the reason, when their namespace is deleted; one that is watched may be asked for by name.
- apiGroups: [""]
  resources: [namespaces]
  verbs: [get]
# Kubernetes cannot bind `create` to a name.
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [tailrace-nats]
  verbs: [get, patch, delete]
# Why a pod hangs, or a Job gets none, is said in events alone: those of such an object are asked for and quoted.
- apiGroups: [""]
  resources: [events]
  verbs: [list, create]
{{- end -}}

{{/* What the operator may do in its own namespace. */}}
{{- define "tailrace.rbac.own" -}}
{{- if and .Values.nats.enabled .Values.nats.auth.create }}
- apiGroups: [""]
  resources: [secrets]
  verbs: [create]
{{- end }}
- apiGroups: [""]
  resources: [secrets]
  resourceNames: [{{ .Values.nats.auth.secretName }}]
  verbs: [get]
{{- end -}}

{{- define "tailrace.rbac.subjects" -}}
- kind: ServiceAccount
  name: {{ include "tailrace.serviceAccountName" . }}
  namespace: {{ .Release.Namespace }}
{{- end -}}
