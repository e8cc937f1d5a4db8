{{/* SPDX-License-Identifier: Apache-2.0 */}}
{{- define "nervenet.fullname" -}}
{{- if .Values.fullnameOverride }}{{ .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else }}{{ $name := default .Chart.Name .Values.nameOverride }}
{{- if contains $name .Release.Name }}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}{{ printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" }}{{ end }}{{ end }}
{{- end }}

{{- define "nervenet.selector" -}}
app.kubernetes.io/name: nervenet
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "nervenet.labels" -}}
{{ include "nervenet.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end }}

{{- define "nervenet.serviceAccount" -}}
{{- if .Values.serviceAccount.create }}{{ default (include "nervenet.fullname" .) .Values.serviceAccount.name }}
{{- else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{/* An image: dict "root" $ "image" .image */}}
{{- define "nervenet.image" -}}
{{- $image := .root.Values.image }}{{- $own := .image }}
{{- $repository := default $image.repository $own.repository }}
{{- $digest := $own.digest }}{{- $tag := $own.tag }}
{{- if not $own.repository }}{{ $digest = default $image.digest $digest }}{{ $tag = default (default .root.Chart.AppVersion $image.tag) $tag }}{{ end }}
{{- if $digest }}{{ printf "%s@%s" $repository $digest }}{{ else }}{{ printf "%s:%s" $repository (required (printf "the image %s needs a tag or a digest" $repository) $tag) }}{{ end }}
{{- end }}

{{/* The name that every certificate of this mesh carries: pods are dialled by their address. */}}
{{- define "nervenet.tlsName" -}}
{{ include "nervenet.fullname" . }}.{{ .Release.Namespace }}.svc
{{- end }}

{{- define "nervenet.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities: {drop: [ALL]}
{{- end }}

{{- define "nervenet.podSecurityContext" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{/* A value from a Secret, or as it is: dict "name" NAME "from" .Values.redis */}}
{{- define "nervenet.url" -}}
{{- if .from.existingSecret }}
- name: {{ .name }}
  valueFrom: {secretKeyRef: {name: {{ .from.existingSecret }}, key: {{ .from.key }}}}
{{- else if .from.url }}
- name: {{ .name }}
  value: {{ .from.url | quote }}
{{- end }}
{{- end }}

{{/* The environment that nodes and agents share: dict "root" $ "part" the values of the part "redis" bool "node" bool "port" 7700 */}}
{{- define "nervenet.env" -}}
{{- $v := .root.Values }}
- name: NERVENET_NAMESPACE
  value: {{ $v.tenant | quote }}
- name: POD_IP
  valueFrom: {fieldRef: {fieldPath: status.podIP}}
{{- if .serves }}
- name: NERVENET_LISTEN
  value: {{ if eq $v.ipFamily "IPv6" }}"[::]:7700"{{ else }}"0.0.0.0:7700"{{ end }}
- name: NERVENET_ADVERTISE
  value: {{ if eq $v.ipFamily "IPv6" }}"[$(POD_IP)]:7700"{{ else }}"$(POD_IP):7700"{{ end }}
{{- end }}
{{- if .metrics }}
- name: NERVENET_METRICS
  value: {{ if eq $v.ipFamily "IPv6" }}"[::]:9464"{{ else }}"0.0.0.0:9464"{{ end }}
{{- end }}
- name: NERVENET_ADDRESS
  value: {{ printf "%s.%s.svc:7700" (include "nervenet.fullname" .root) .root.Release.Namespace | quote }}
- name: NERVENET_LOG
  value: json
- name: NERVENET_DRAIN
  value: {{ printf "%ds" (int .part.drainSeconds) | quote }}
{{- if .redis }}{{ include "nervenet.url" (dict "name" "NERVENET_REDIS" "from" $v.redis) }}{{ end }}
{{- if .node }}{{ include "nervenet.url" (dict "name" "NERVENET_ETCD" "from" $v.etcd) }}{{ end }}
{{- if $v.auth.insecure }}
- name: NERVENET_INSECURE
  value: "on"
{{- end }}
{{- if eq $v.tls.mode "off" }}
- name: NERVENET_TLS
  value: "off"
{{- else }}
- name: NERVENET_TLS
  value: /etc/nervenet/tls/ca.crt
- name: NERVENET_TLS_CERT
  value: /etc/nervenet/tls/tls.crt
- name: NERVENET_TLS_KEY
  value: /etc/nervenet/tls/tls.key
- name: NERVENET_TLS_NAME
  value: {{ include "nervenet.tlsName" .root }}
{{- end }}
{{- if $v.auth.tokenSecret }}
- name: NERVENET_TOKEN_FILE
  value: /etc/nervenet/token/token
{{- end }}
{{- if .serves }}
{{- if $v.auth.tokensSecret }}
- name: NERVENET_TOKENS_FILE
  value: /etc/nervenet/tokens/tokens
{{- end }}
{{- with $v.auth.jwt.issuer }}
- name: NERVENET_JWT_ISSUER
  value: {{ . | quote }}
{{- end }}
{{- with $v.auth.jwt.audience }}
- name: NERVENET_JWT_AUDIENCE
  value: {{ . | quote }}
{{- end }}
{{- if $v.auth.policy }}
- name: NERVENET_POLICY
  value: /etc/nervenet/policy/policy.yaml
{{- end }}
{{- end }}
{{- if and .node $v.auth.audit }}
- name: NERVENET_AUDIT
  value: {{ $v.auth.audit | quote }}
{{- end }}
{{- range $name, $value := merge (dict) .part.settings $v.settings }}
- name: NERVENET_{{ upper $name }}
  value: {{ $value | toString | quote }}
{{- end }}
{{- with concat $v.env .part.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Files of every pod: dict "root" $ "tlsSecret" NAME "serves" bool "part" values */}}
{{- define "nervenet.volumes" -}}
{{- $v := .root.Values }}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
{{- if ne $v.tls.mode "off" }}
- name: tls
  secret: {secretName: {{ .tlsSecret }}, defaultMode: 0440}
{{- end }}
{{- if $v.auth.tokenSecret }}
- name: token
  secret: {secretName: {{ $v.auth.tokenSecret }}, defaultMode: 0440}
{{- end }}
{{- if and .serves $v.auth.tokensSecret }}
- name: tokens
  secret: {secretName: {{ $v.auth.tokensSecret }}, defaultMode: 0440}
{{- end }}
{{- if and .serves $v.auth.policy }}
- name: policy
  configMap: {name: {{ include "nervenet.fullname" .root }}-policy}
{{- end }}
{{- with .part.volumes }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "nervenet.volumeMounts" -}}
{{- $v := .root.Values }}
- {name: tmp, mountPath: /tmp}
{{- if ne $v.tls.mode "off" }}
- {name: tls, mountPath: /etc/nervenet/tls, readOnly: true}
{{- end }}
{{- if $v.auth.tokenSecret }}
- {name: token, mountPath: /etc/nervenet/token, readOnly: true}
{{- end }}
{{- if and .serves $v.auth.tokensSecret }}
- {name: tokens, mountPath: /etc/nervenet/tokens, readOnly: true}
{{- end }}
{{- if and .serves $v.auth.policy }}
- {name: policy, mountPath: /etc/nervenet/policy, readOnly: true}
{{- end }}
{{- with .part.volumeMounts }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{/* Kubelet's own gRPC probe speaks no TLS; with TLS the pod asks itself. dict "root" $ "service" NAME */}}
{{- define "nervenet.probe" -}}
{{- if eq .root.Values.tls.mode "off" }}
grpc: {port: 7700, service: {{ .service | quote }}}
{{- else }}
exec: {command: [python, /opt/healthcheck.py{{ with .service }}, {{ . }}{{ end }}]}
{{- end }}
timeoutSeconds: 5
{{- end }}

{{/* `liveness` is SERVING for as long as the process answers; "" is NOT_SERVING while it drains or a part of it fails. */}}
{{- define "nervenet.probes" -}}
startupProbe:
  {{- include "nervenet.probe" (dict "root" .root "service" "") | nindent 2 }}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  {{- include "nervenet.probe" (dict "root" .root "service" "liveness") | nindent 2 }}
  periodSeconds: 10
  failureThreshold: 6
readinessProbe:
  {{- include "nervenet.probe" (dict "root" .root "service" "") | nindent 2 }}
  periodSeconds: 5
  failureThreshold: 2
{{- end }}

{{/* dict "root" $ "labels" text "part" values */}}
{{- define "nervenet.placement" -}}
{{- with .part.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .part.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
topologySpreadConstraints:
{{- if .part.topologySpreadConstraints }}
{{ toYaml .part.topologySpreadConstraints }}
{{- else }}
{{- range $key := list "topology.kubernetes.io/zone" "kubernetes.io/hostname" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: ScheduleAnyway
  labelSelector:
    matchLabels: {{- $.labels | nindent 6 }}
{{- end }}
{{- end }}
{{- end }}

{{/* The values of a pool: agentDefaults below its own. */}}
{{- define "nervenet.pool" -}}
{{- mergeOverwrite (deepCopy .root.Values.agentDefaults) .pool | toYaml }}
{{- end }}

{{/* More time than draining takes: before it the Services forget the pod, after it calls end and leases go. */}}
{{- define "nervenet.grace" -}}
{{ add (int .preStopSeconds) (int .drainSeconds) 15 }}
{{- end }}

{{- define "nervenet.nodeTlsSecret" -}}
{{- if eq .Values.tls.mode "certManager" }}{{ include "nervenet.fullname" . }}-node-tls{{ else }}{{ .Values.tls.existingSecret }}{{ end }}
{{- end }}

{{- define "nervenet.agentTlsSecret" -}}
{{- if eq .root.Values.tls.mode "certManager" }}{{ include "nervenet.fullname" .root }}-agent-{{ .name }}-tls{{ else }}{{ .root.Values.tls.existingSecret }}{{ end }}
{{- end }}

{{/* HTTP/2 without TLS, for meshes and gateways that look at Services. */}}
{{- define "nervenet.appProtocol" -}}
{{- if eq .Values.tls.mode "off" }}, appProtocol: kubernetes.io/h2c{{ end }}
{{- end }}
