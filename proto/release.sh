#!/usr/bin/env bash
# Belongs to a release: from now on the protos must stay compatible with what they are now
# (buf.yaml, breaking). What was added since the last release could still change until here.
set -euo pipefail
cd "$(dirname "$0")/.."
.ci/buf breaking --against released.binpb.gz
.ci/buf build -o released.binpb.gz
echo "proto/released.binpb.gz is renewed: commit it"
