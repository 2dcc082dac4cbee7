#!/usr/bin/env bash
# Installs what is missing of the named sets of Debian 12 packages:
#   deploy/packages.sh build test
# Asks nothing, needs root or sudo only when something is missing.
set -euo pipefail

# Prints the packages of a set; fails if there is no such set.
packages_of() {
  case $1 in
    build)
      echo cmake ninja-build g++ ccache pkg-config protobuf-compiler protobuf-compiler-grpc \
        libprotobuf-dev libgrpc++-dev libre2-dev libabsl-dev libeigen3-dev libopenblas-dev \
        prometheus-cpp-dev libcli11-dev libspdlog-dev nlohmann-json3-dev zlib1g-dev libxxhash-dev
      ;;
    data) echo dataset-fashion-mnist ;;
    pictures) echo gnuplot-nox ;;
    test) echo libgtest-dev libgmock-dev libbenchmark-dev python3 python3-grpcio python3-protobuf ;;
    sanitize) echo libclang-rt-14-dev ;;
    fuzz) echo clang-14 libclang-rt-14-dev ;;
    lint) echo clang-14 clang-format-14 clang-tidy-14 shellcheck ;;
    # Only where no other npm is there: Debian's may not go with it.
    buf) command -v npm >/dev/null || echo nodejs npm ;;
    dashboard) echo prometheus ;;
    image) echo debootstrap buildah runc ;;
    torch) echo python3-venv ;; # tests/python_environment.sh installs torch itself.
    *)
      echo "packages.sh: no set \"$1\"; there are build, data, pictures, test, sanitize, fuzz, lint, buf, dashboard, image, torch" >&2
      return 2
      ;;
  esac
}

packages=()
for set in "$@"; do
  names=$(packages_of "$set") || exit 2
  read -r -a words <<<"$names"
  packages+=("${words[@]}")
done

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0

sudo=()
if [ "$(id -u)" != 0 ]; then
  command -v sudo >/dev/null || {
    echo "packages.sh: missing ${missing[*]}; run as root, or install sudo" >&2
    exit 1
  }
  sudo=(sudo)
fi
echo "installing ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
if ! { "${apt[@]}" update && "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } >"$log" 2>&1; then
  tail -n 20 "$log" >&2
  echo "packages.sh: apt-get could not install ${missing[*]}" >&2
  exit 1
fi
