{{- define "reconciler.settings" -}}
{{- $secrets := "/etc/reconciler/secrets" }}
{{- $serving := dict "host" "0.0.0.0" "port" (int .Values.serving.port) }}
{{- if .Values.serving.tlsSecret }}
{{- $_ := set $serving "certificateFile" (printf "%s/tls/tls.crt" $secrets) }}
{{- $_ := set $serving "keyFile" (printf "%s/tls/tls.key" $secrets) }}
{{- else }}
{{- $_ := set $serving "allowPlaintext" true }}
{{- end }}
{{- if .Values.serving.tokens }}
{{- $tokens := list }}
{{- range .Values.serving.tokens }}
{{- $tokens = append $tokens (dict "name" .name "role" .role "tokenFile" (printf "%s/serving/%s" $secrets .key)) }}
{{- end }}
{{- $_ := set $serving "tokens" $tokens }}
{{- else }}
{{- $_ := set $serving "allowAnonymous" true }}
{{- end }}
{{- $particle := dict "apiUrl" .Values.particle.apiUrl }}
{{- $settings := dict "apiVersion" "fleet.reconciler.dev/v1alpha1" "kind" "ControllerSettings" }}
{{- $_ := set $settings "state" "/var/lib/reconciler" }}
{{- $_ := set $settings "serving" $serving }}
{{- $_ := set $settings "particle" $particle }}
{{- $_ := set $settings "log" (dict "format" "json") }}
{{- if eq .Values.source.kind "git" }}
{{- $_ := set $particle "tokenFile" (printf "%s/particle/%s" $secrets .Values.particle.tokenKey) }}
{{- $git := dict "url" .Values.source.git.url "branch" .Values.source.git.branch "interval" .Values.source.git.interval }}
{{- with .Values.source.git.folder }}
{{- $_ := set $git "folder" . }}
{{- end }}
{{- if .Values.source.git.existingSecret }}
{{- if eq .Values.source.git.secretKind "ssh" }}
{{- $_ := set $git "sshKeyFile" (printf "%s/git/sshKey" $secrets) }}
{{- $_ := set $git "knownHostsFile" (printf "%s/git/knownHosts" $secrets) }}
{{- else }}
{{- $_ := set $git "tokenFile" (printf "%s/git/token" $secrets) }}
{{- end }}
{{- end }}
{{- $_ := set $settings "git" $git }}
{{- else }}
{{- $kubernetes := dict "tokenSecret" .Values.particle.tokenSecret "tokenKey" .Values.particle.tokenKey }}
{{- with .Values.watchNamespaces }}
{{- $_ := set $kubernetes "watchNamespaces" . }}
{{- end }}
{{- $_ := set $settings "kubernetes" $kubernetes }}
{{- end }}
{{- toYaml (mergeOverwrite $settings .Values.settings) }}
{{- end }}
