{{/* A reference to one of Tailrace's images. Takes (list context image), `image` being a key of `images`. */}}
{{- define "tailrace.image" -}}
{{- $root := index . 0 -}}
{{- $image := index $root.Values.images (index . 1) -}}
{{- include "tailrace.reference" (dict "registry" $root.Values.images.registry "image" $image "version" $root.Chart.AppVersion) -}}
{{- end -}}

{{/* A reference to an image. Takes a dict: registry, image, version (the tag when the image gives none). */}}
{{- define "tailrace.reference" -}}
{{- with .registry }}{{ . }}/{{ end -}}
{{- .image.repository }}:{{ .image.tag | default .version }}
{{- with .image.digest }}@{{ . }}{{ end -}}
{{- end -}}
