//go:build tools

// Package tools pins the last API server that serves NetworkPolicies of extensions/v1beta1 unasked.
//
// go.mod repeats the replace block of that Kubernetes, which go ignores in a dependency, with two changes: reflect2
// 1.0.1 reaches into the runtime in ways that later Go refuses, and vbom.ml/util is gone (only kubectl used it).
package tools

import _ "k8s.io/kubernetes/cmd/kube-apiserver"
