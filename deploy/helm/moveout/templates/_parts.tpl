{{/* Labels of all objects of this release. */}}
{{- define "moveout.labels" -}}
app.kubernetes.io/name: moveout
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{/* The pods of the service. */}}
{{- define "moveout.service" -}}
{{ include "moveout.labels" . }}
app.kubernetes.io/component: service
{{- end }}

{{- define "moveout.backfill" -}}
{{ include "moveout.labels" . }}
app.kubernetes.io/component: backfill
{{- end }}

{{- define "moveout.account" -}}
{{ .Values.serviceAccount.name | default .Release.Name }}
{{- end }}

{{- define "moveout.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{/* The configuration as text. */}}
{{- define "moveout.config" -}}
{{- if kindIs "string" .Values.config -}}
{{ .Values.config }}
{{- else -}}
{{ toYaml .Values.config }}
{{- end -}}
{{- end }}

{{/* The name says what is in it: with another configuration the pods are rolled. */}}
{{- define "moveout.configName" -}}
{{ .Release.Name }}-{{ include "moveout.config" . | sha256sum | trunc 10 }}
{{- end }}

{{/* The configuration, read, as JSON; refuses what these objects cannot run. */}}
{{- define "moveout.parsed" -}}
{{- if not .Values.config }}{{ fail "config is missing: --set-file config=moveout.yaml (deploy/moveout.example.yaml explains each line)" }}{{ end -}}
{{- $config := include "moveout.config" . | fromYaml -}}
{{- if hasKey $config "Error" }}{{ fail (printf "config is not YAML: %s" $config.Error) }}{{ end -}}
{{- $listen := dig "server" "listen" "127.0.0.1:8080" $config -}}
{{- if hasPrefix "127." $listen }}{{ fail (printf "server.listen in config is %s: nothing outside of the pod reaches it; 0.0.0.0:8080" $listen) }}{{ end -}}
{{- if eq (get $config "mode" | default "") "backfill" }}{{ fail "mode: backfill ends by itself, and a Deployment would start it again and again: run the image as a Job (deploy/README.md)" }}{{ end -}}
{{- if and .Values.backfill.enabled (ne (dig "backfill" "workers" 2 $config | int) 0) }}{{ fail "backfill.enabled makes a Job that loads: set backfill.workers: 0 in config, or backfill.enabled: false here" }}{{ end -}}
{{ toJson $config }}
{{- end }}

{{- define "moveout.port" -}}
{{ dig "server" "listen" "" (include "moveout.parsed" . | fromJson) | splitList ":" | last }}
{{- end }}

{{/* The ports of CQL that the configuration names, of all its tables, as JSON. */}}
{{- define "moveout.targetPorts" -}}
{{- $config := include "moveout.parsed" . | fromJson -}}
{{- $ports := list -}}
{{- range $table := (get $config "tables" | default (list dict)) -}}
{{- $target := mergeOverwrite (deepCopy (get $config "target" | default dict)) (get $table "target" | default dict) -}}
{{- if eq (get $target "kind" | default "") "cassandra" -}}
{{- $ports = append $ports (get $target "port" | default 9042 | int) -}}
{{- end -}}
{{- end -}}
{{ toJson (dict "ports" (uniq $ports)) }}
{{- end }}

{{- define "moveout.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "moveout.containerSecurity" -}}
readOnlyRootFilesystem: true
allowPrivilegeEscalation: false
capabilities: {drop: [ALL]}
{{- end }}

{{- define "moveout.mounts" -}}
- {name: config, mountPath: /etc/moveout, readOnly: true}
{{- if .Values.secretName }}
- {name: secrets, mountPath: /run/secrets/moveout, readOnly: true}
{{- end }}
- {name: tmp, mountPath: /tmp}
{{- end }}

{{- define "moveout.volumes" -}}
- name: config
  configMap: {name: {{ include "moveout.configName" . }}}
{{- if .Values.secretName }}
- name: secrets
  secret: {secretName: {{ .Values.secretName }}, optional: true, defaultMode: 0440}
{{- end }}
- name: tmp
  emptyDir: {sizeLimit: 64Mi}
{{- end }}

{{/* What the pods of the service and of the Job have in common. */}}
{{- define "moveout.placed" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .Values.nodeSelector }}
nodeSelector:
{{ toYaml . | indent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations:
{{ toYaml . | indent 2 }}
{{- end }}
{{- end }}
