#!/usr/bin/env bash
# Builds the image from the Dockerfile without a Docker engine (debootstrap's Debian as the base,
# buildah with chroot isolation) and trains inside it.
set -euo pipefail
cd "$(dirname "$0")/../.."

image=localhost/gradd-test
base=docker.io/library/debian:bookworm-slim
cache=${XDG_CACHE_HOME:-$HOME/.cache}/gradd
mkdir -p "$cache"
container=

fail() {
  echo "image_test: $1" >&2
  exit 1
}
cleanup() {
  if [ -n "$container" ]; then buildah rm "$container" >/dev/null || true; fi
}
trap cleanup EXIT

if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
  if [ ! -e "$cache/bookworm.tar" ]; then
    rootfs=$(mktemp -d)
    # The mirror of the system, wherever that is.
    # shellcheck disable=SC2016  # apt-get expands it.
    mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Codename: bookworm' | head -n 1)
    debootstrap --variant=minbase bookworm "$rootfs" ${mirror:+"$mirror"} >"$cache/debootstrap.log" 2>&1 ||
      { tail "$cache/debootstrap.log" >&2; fail "debootstrap failed"; }
    cp /etc/apt/sources.list "$rootfs/etc/apt/" 2>/dev/null || true
    cp -r /etc/apt/sources.list.d /etc/apt/apt.conf.d "$rootfs/etc/apt/" 2>/dev/null || true
    tar -C "$rootfs" -cf "$cache/bookworm.tar.new" .
    mv "$cache/bookworm.tar.new" "$cache/bookworm.tar"
    rm -rf "$rootfs"
  fi
  scratch=$(buildah from scratch)
  buildah add --quiet "$scratch" "$cache/bookworm.tar" / >/dev/null
  buildah commit --quiet --rm "$scratch" "$base" >/dev/null
fi

buildah bud --format docker --layers --pull-never --isolation chroot --network host -t "$image" . \
  >"$cache/image.log" 2>&1 || { tail -n 30 "$cache/image.log" >&2; fail "the image cannot be built"; }

container=$(buildah from --pull-never "$image")
inside() { buildah run --isolation chroot --network host "$container" -- "$@"; }

size=$(buildah images --format '{{.Size}}' "$image")
echo "image: $size, programs: $(inside sh -c 'ls /usr/local/bin' | tr '\n' ' ')"
[ "$(inside id -u)" = 10001 ] || fail "it runs as user $(inside id -u), expected 10001"
buildah inspect --type image "$image" | grep -q '"Healthcheck"' || fail "it has no HEALTHCHECK"
for program in gradd gradctl gradworker; do
  inside "$program" --version || fail "$program does not start"
done

# Everything in one container, as one process tree: what is left is ended when the shell ends.
# shellcheck disable=SC2016  # The shell inside expands it.
inside sh -euc '
  export GRADD_LISTEN=127.0.0.1:0 GRADD_HTTP=127.0.0.1:0
  cd /tmp
  gradd --ready-file ready & server=$!
  for _ in $(seq 100); do [ -e ready ] && break; sleep 0.1; done
  export GRADD_SERVER=$(sed -n s/^grpc=//p ready) GRADD_RUN=smoke
  gradd --probe "$(sed -n s/^grpc=//p ready)"
  model="--model softmax --data synthetic"
  gradworker $model --print-layout |
    gradctl create smoke --layout - --optimizer sgd --learning-rate 0.1 --workers 2 --steps 200
  gradworker $model --rank 0 --workers 2 & first=$!
  gradworker $model --rank 1 --workers 2 & second=$!
  wait $first
  wait $second
  gradctl show smoke --json > run.json
  grep -q RUN_STATE_FINISHED run.json
  kill -TERM $server
  wait $server
  gradd --ready-file again & server=$!
  for _ in $(seq 100); do [ -e again ] && break; sleep 0.1; done
  export GRADD_SERVER=$(sed -n s/^grpc=//p again)
  for _ in $(seq 100); do
    gradctl show smoke --json > run.json && grep -q RUN_STATE_FINISHED run.json && break
    sleep 0.1
  done
  grep -q RUN_STATE_FINISHED run.json
  gradctl show smoke
  gradctl checkpoints smoke
  kill -TERM $server
  wait $server
' >"$cache/smoke.log" 2>&1 || { cat "$cache/smoke.log" >&2; fail "it does not train"; }
grep -o 'test accuracy [0-9.]*' "$cache/smoke.log" | tail -n 1
echo "image_test: passed"
