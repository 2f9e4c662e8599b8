{{/*
What would lose logs or be refused by Kubernetes halfway, seen by comparing with what runs. `helm template`, and with it
most GitOps tools, sees nothing: docs/upgrade.md says what that leaves to the admin.

The release's NATS is found by its labels: by its name alone it would not be found once a value has changed the name.
*/}}
{{- define "tailrace.upgrade.check" -}}
{{- range (lookup "apps/v1" "StatefulSet" .Release.Namespace "").items -}}
{{- $labels := .metadata.labels | default dict -}}
{{- $label := "app.kubernetes.io/%s" -}}
{{- $ours := and (eq (get $labels (printf $label "part-of")) "tailrace") (eq (get $labels (printf $label "component")) "nats") -}}
{{- if and $ours (eq (get $labels (printf $label "instance")) $.Release.Name) -}}
{{- include "tailrace.upgrade.checkNats" (list $ .) -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* Takes (list context running), `running` being the StatefulSet. */}}
{{- define "tailrace.upgrade.checkNats" -}}
{{- $root := index . 0 -}}
{{- $running := index . 1 -}}
{{- if not $root.Values.nats.enabled -}}
{{- fail (printf "nats.enabled: the StatefulSet %s of this release runs and has the logs: switching it off would break all streams. Keep it on, or follow \"To a NATS that you run\" in docs/upgrade.md" $running.metadata.name) -}}
{{- end -}}
{{- include "tailrace.upgrade.checkNames" . -}}
{{- $had := int $running.spec.replicas -}}
{{- $wanted := int $root.Values.nats.replicas -}}
{{- if ne $had $wanted -}}
{{- fail (printf "nats.replicas: %d servers run, and %d are wanted: logs do not move along, so this would lose them. Keep %d, or follow \"From one NATS server to three\" in docs/upgrade.md" $had $wanted $had) -}}
{{- end -}}
{{- include "tailrace.upgrade.checkVolume" (dict "pvc" $root.Values.nats.jetstream.fileStore.pvc "claims" ($running.spec.volumeClaimTemplates | default list)) -}}
{{- end -}}

{{- define "tailrace.upgrade.checkNames" -}}
{{- $root := index . 0 -}}
{{- $running := index . 1 -}}
{{- $wanted := include "tailrace.nats.name" $root -}}
{{- if ne $running.metadata.name $wanted -}}
{{- fail (printf "nameOverride, fullnameOverride: NATS runs as %s and would begin anew as %s, without its logs: keep the names that the release was installed with" $running.metadata.name $wanted) -}}
{{- end -}}
{{- $had := get $running.spec.selector.matchLabels "app.kubernetes.io/name" -}}
{{- $name := include "tailrace.name" $root -}}
{{- if ne $had $name -}}
{{- fail (printf "nameOverride: Kubernetes refuses to change the label app.kubernetes.io/name of running pods from %s to %s: keep the name that the release was installed with" $had $name) -}}
{{- end -}}
{{- end -}}

{{/* Takes a dict: pvc (the values), claims (the templates of claims that the StatefulSet has). */}}
{{- define "tailrace.upgrade.checkVolume" -}}
{{- $pvc := .pvc -}}
{{- if ne (empty .claims) (not $pvc.enabled) -}}
{{- fail "nats.jetstream.fileStore.pvc.enabled: cannot be changed while NATS runs: its logs would be left behind. See \"Another kind of volume\" in docs/upgrade.md" -}}
{{- end -}}
{{- $refused := "nats.jetstream.fileStore.pvc.%s: Kubernetes refuses to change it from %s to %s in a StatefulSet. See \"%s\" in docs/upgrade.md" -}}
{{- range .claims -}}
{{- $size := .spec.resources.requests.storage -}}
{{- if ne (include "tailrace.mebibytes" $size) (include "tailrace.mebibytes" $pvc.size) -}}
{{- fail (printf $refused "size" $size $pvc.size "A larger volume") -}}
{{- end -}}
{{- $class := .spec.storageClassName | default "" -}}
{{- $wanted := $pvc.storageClassName | default "" -}}
{{- if ne $class $wanted -}}
{{- fail (printf $refused "storageClassName" (quote $class) (quote $wanted) "Another kind of volume") -}}
{{- end -}}
{{- $annotations := .metadata.annotations | default dict | toJson -}}
{{- $wished := $pvc.annotations | default dict | toJson -}}
{{- if ne $annotations $wished -}}
{{- fail (printf $refused "annotations" $annotations $wished "Another kind of volume") -}}
{{- end -}}
{{- end -}}
{{- end -}}
