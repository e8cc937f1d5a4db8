#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# tools/kubernetes.sh [--write]: build helm and the client of KEDA's scaler from their Go modules once (some minutes) into
# build/kubernetes, then check the chart and deploy/kubernetes, or write what is made from the chart.
set -eu
cd "$(dirname "$0")/.."
helm=v4.3.1
built=build/kubernetes/bin
mkdir -p "$built"
if [ ! -x "$built/helm" ]; then
    tools/toolchain go
    echo "Building helm $helm into $built (once)." >&2
    GOBIN="$PWD/$built" go install "helm.sh/helm/v4/cmd/helm@$helm" 2>build/kubernetes/go.log || { cat build/kubernetes/go.log >&2; exit 1; }
fi
if [ ! -x "$built/keda" ] || [ tests/kubernetes/keda/main.go -nt "$built/keda" ]; then
    tools/toolchain go
    echo "Building the client of KEDA's scaler into $built (once)." >&2
    (cd tests/kubernetes/keda && go build -o "../../../$built/keda" . 2>../../../build/kubernetes/go.log) || { cat build/kubernetes/go.log >&2; exit 1; }
fi
exec build/deploy-venv/bin/python tools/kubernetes "$@"
