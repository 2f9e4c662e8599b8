{{- define "tailrace.nats.container" -}}
{{- $nats := .Values.nats -}}
{{- $clustered := gt (int $nats.replicas) 1 -}}
{{- $memory := include "tailrace.nats.memoryLimit" . | int64 -}}
name: nats
image: {{ include "tailrace.reference" (dict "registry" $nats.image.registry "image" $nats.image "version" "") | quote }}
imagePullPolicy: {{ $nats.image.pullPolicy }}
command: [nats-server, --config, /etc/nats/nats.conf]
env:
  - name: POD_NAME
    valueFrom:
      fieldRef:
        fieldPath: metadata.name
  {{- if $memory }}
  # Go's collector works harder before the kernel kills.
  - name: GOMEMLIMIT
    value: {{ div (mul $memory 9) 10 }}MiB
  {{- end }}
  {{- if $clustered }}
  - name: ROUTES_PASSWORD
    valueFrom:
      secretKeyRef:
        name: {{ $nats.auth.secretName }}
        key: routes
  - name: ROUTES_AUTHORIZATION
    value: '{user: routes, password: "$(ROUTES_PASSWORD)"}'
  - name: ROUTES
    value: {{ include "tailrace.nats.routes" . | squote }}
  {{- end }}
ports:
  - name: nats
    containerPort: 4222
  - name: cluster
    containerPort: 6222
  - name: monitor
    containerPort: 8222
# Ready for the first time when all its copies are up to date, so that a rolling update never has two behind.
startupProbe:
  httpGet:
    path: /healthz
    port: monitor
  periodSeconds: 2
  timeoutSeconds: 5
  failureThreshold: 450
readinessProbe:
  httpGet:
    path: /healthz?js-enabled-only=true
    port: monitor
  periodSeconds: 5
  timeoutSeconds: 5
livenessProbe:
  httpGet:
    path: /healthz?js-enabled-only=true
    port: monitor
  periodSeconds: 20
  timeoutSeconds: 10
  failureThreshold: 6
{{- if $clustered }}
# Leaders move and clients are sent away one by one; a lone server has nobody to send them to, and stops at once.
lifecycle:
  preStop:
    exec:
      command: [nats-server, --signal, ldm=/var/run/nats/nats.pid]
{{- end }}
resources:
  {{- toYaml $nats.resources | nindent 2 }}
securityContext:
  {{- toYaml $nats.containerSecurityContext | nindent 2 }}
volumeMounts:
  - name: config
    mountPath: /etc/nats
    readOnly: true
  - name: run
    mountPath: /var/run/nats
  - name: data
    mountPath: /data
{{- end -}}

{{/* One folder of two sources. A pod waits for the Secret, so it may be installed before the operator has made it. */}}
{{- define "tailrace.nats.volumes" -}}
- name: config
  projected:
    sources:
      - configMap:
          name: {{ include "tailrace.nats.name" . }}
      - secret:
          name: {{ .Values.nats.auth.secretName }}
          items:
            - key: auth.conf
              path: auth.conf
- name: run
  emptyDir:
    medium: Memory
    sizeLimit: 1Mi
{{- if not .Values.nats.jetstream.fileStore.pvc.enabled }}
- name: data
  emptyDir:
    sizeLimit: {{ .Values.nats.jetstream.fileStore.pvc.size }}
{{- end }}
{{- end -}}

{{- define "tailrace.nats.spread" -}}
{{- $nats := .Values.nats -}}
{{- $selector := fromYaml (include "tailrace.selector" (list . "nats")) -}}
{{- if or $nats.topologySpreadConstraints (gt (int $nats.replicas) 1) }}
topologySpreadConstraints:
  {{- if $nats.topologySpreadConstraints }}
  {{- toYaml $nats.topologySpreadConstraints | nindent 2 }}
  {{- else }}
  - maxSkew: 1
    topologyKey: kubernetes.io/hostname
    whenUnsatisfiable: DoNotSchedule
    # A drained node does not hold up the server that left it.
    nodeTaintsPolicy: Honor
    labelSelector:
      matchLabels:
        {{- toYaml $selector | nindent 8 }}
  - maxSkew: 1
    topologyKey: topology.kubernetes.io/zone
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- toYaml $selector | nindent 8 }}
  {{- end }}
{{- end }}
{{- end -}}
