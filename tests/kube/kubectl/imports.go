//go:build tools

// Package imports names what go.mod is for, so that `go mod tidy` keeps it.
package imports

import _ "k8s.io/kubernetes/cmd/kubectl"
