#!/usr/bin/env bash
# Makes .venv and everything in it that `make demo` and `make test` need; when nothing changed it returns at once.
#   PYTHON=/path/to/python3.12 tools/setup.sh    to choose the interpreter
set -euo pipefail
cd "$(dirname "$0")/.."
unset VIRTUAL_ENV PYTHONPATH PYTHONHOME   # a stranger's environment must not leak into ours

venv=.venv
python=$venv/bin/python
stamp=$venv/.wmenv-stamp
log=$venv/setup.log

say() { echo "wmenv: $*"; }
die() { echo "wmenv: $*" >&2; exit 1; }

may_apt() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
apt_line() {
  local sudo=sudo; [ "$(id -u)" = 0 ] && sudo=
  echo "${sudo:+$sudo }apt-get update && ${sudo:+$sudo }apt-get install -y --no-install-recommends $*"
}
apt_install() {  # best effort: the caller looks again afterwards
  may_apt || return 1
  say "installing Debian packages: $*"
  { DEBIAN_FRONTEND=noninteractive apt-get update -qq &&
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1 </dev/null
}

python_fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 13))' >/dev/null 2>&1; }
find_python() {
  local name names=(python3 python3.12 python3.11 python)
  [ -z "${PYTHON:-}" ] || names=("$PYTHON")
  for name in "${names[@]}"; do
    if python_fits "$name"; then command -v "$name"; return; fi
  done
  return 1
}

ensure_egl() {  # MuJoCo draws without a screen through EGL
  [ "$(uname -s)" = Linux ] && [ "${MUJOCO_GL:-egl}" = egl ] || return 0
  local packages="libegl1 libegl-mesa0 libgl1-mesa-dri"
  "$1" tools/egl_probe.py 2>/dev/null && return
  apt_install $packages || true
  "$1" tools/egl_probe.py 2>/dev/null && return
  die "EGL, through which MuJoCo draws, is missing or does not start; run: $(apt_line $packages)"
}

make_venv() {
  local version
  version=$("$base" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  if ! "$base" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    apt_install "python$version-venv" || true
    "$base" -c 'import ensurepip, venv' >/dev/null 2>&1 ||
      die "Python's venv module is missing; run: $(apt_line "python$version-venv")"
  fi
  say "creating $venv with Python $version"
  "$base" -m venv --clear "$venv" || die "could not create $venv; is the disk full? (df -h .)"
}

pip_install() {
  "$python" -m pip install --disable-pip-version-check --no-input --progress-bar off --no-compile "$@" </dev/null >>"$log" 2>&1
}

install_torch() {  # the build that fits the machine, where pip can find one; else whatever pip finds
  local version; version=$(sed -n 's/^torch==\([0-9.]*\).*/\1/p' constraints.txt)
  [ "$(uname -s)" = Linux ] && [ -n "$version" ] || return 0
  if has_gpu; then
    pip_install -c constraints.txt "torch===$version" || true   # not the CPU build, though pip sorts it higher
  else
    pip_install -c constraints.txt "torch==$version+cpu" || true
  fi
}
has_gpu() { nvidia-smi -L 2>/dev/null | grep -q '^GPU'; }

fingerprint() { { pwd; has_gpu && echo gpu; cat pyproject.toml constraints.txt tools/setup.sh; } | cksum; }

want=$(fingerprint)
if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$want" ] && python_fits "$python"; then
  ensure_egl "$python"
  exit 0
fi

base=$(find_python) || {
  die "Python 3.11 or 3.12 is needed, found: $("${PYTHON:-python3}" -V 2>/dev/null || echo none); install one and run: make PYTHON=/path/to/python3.12 install"
}
ensure_egl "$base"
if ! python_fits "$python" || ! "$python" -m pip --version >/dev/null 2>&1; then make_venv; fi
extras=dev; has_gpu && extras=dev,gpu
say "installing dependencies into $venv: about a minute and 1.7 GB (more where pip brings CUDA); log: $log"
: >"$log"
start=$SECONDS
install_torch
if ! pip_install -c constraints.txt -e ".[$extras]"; then
  tail -n 15 "$log" >&2
  die "pip failed, see $log; a full disk (df -h .) and a missing network are the usual causes"
fi
# pip compiled nothing (most of it is never imported); what is used is compiled here, by importing it once.
env -u PYTHONDONTWRITEBYTECODE "$python" -c \
  "import torch._dynamo, torch.optim, stable_baselines3, mujoco, gymnasium, pyarrow.parquet, av, pytest, tyro, rich" \
  >>"$log" 2>&1 </dev/null || { tail -n 5 "$log" >&2; die "the installed packages do not import, see $log"; }
echo "$want" >"$stamp"
say "ready after $((SECONDS - start)) s"
