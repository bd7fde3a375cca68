FROM testbase-base
WORKDIR /workspace
ARG DEBIAN_FRONTEND=noninteractive
ENV PIP_BREAK_SYSTEM_PACKAGES=1
ENV PATH=/opt/nodejs/22/bin:/opt/python/3.12/bin:$PATH

# Node.js 22
RUN <<NODEJS
set -e
mkdir -p /usr/local/bin
present() { node --version 2>&1 | grep -Eq '^v22([^0-9]|$)'; }
use() {
  mkdir -p /opt/nodejs
  ln -sfn "$1" /opt/nodejs/22
  ln -sf /opt/nodejs/22/bin/* /usr/local/bin/
  hash -r
}
if present; then
  echo 'Node.js 22 is in the base image'
elif command -v apt-get >/dev/null && apt-get update && LC_ALL=C apt-cache policy nodejs |
  grep -Eq 'Candidate: ([0-9]+:)?22([^0-9]|$)'; then
  apt-get install -y --no-install-recommends nodejs
  rm -rf /var/lib/apt/lists/*
else
  export MISE_DATA_DIR=/opt/mise MISE_CACHE_DIR=/tmp/mise MISE_YES=1
  if ! command -v mise >/dev/null; then
    if ! command -v curl >/dev/null; then
      apt-get update
      apt-get install -y --no-install-recommends curl ca-certificates
    fi
    curl -fsSL --retry 2 -o /tmp/mise.sh "${MISE_INSTALL_URL:-https://mise.run}"
    MISE_INSTALL_PATH=/usr/local/bin/mise sh /tmp/mise.sh
    rm /tmp/mise.sh
  fi
  mise install node@22
  use "$(mise where node@22)"
  rm -rf /tmp/mise
fi
if ! command -v npm >/dev/null && command -v apt-get >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends npm
  rm -rf /var/lib/apt/lists/*
fi
present || { echo 'Node.js 22 was installed, but another one answers' >&2; node --version; exit 1; }
NODEJS

# Python 3.12
RUN <<PYTHON
set -e
mkdir -p /usr/local/bin
present() { python3 --version 2>&1 | grep -Eq '^Python 3\.12([^0-9]|$)'; }
use() {
  mkdir -p /opt/python
  ln -sfn "$1" /opt/python/3.12
  ln -sf /opt/python/3.12/bin/* /usr/local/bin/
  hash -r
}
if present; then
  echo 'Python 3.12 is in the base image'
elif command -v apt-get >/dev/null && apt-get update && LC_ALL=C apt-cache policy python3 |
  grep -Eq 'Candidate: ([0-9]+:)?3\.12([^0-9]|$)'; then
  apt-get install -y --no-install-recommends python3 python3-pip python3-venv
  rm -rf /var/lib/apt/lists/*
else
  export MISE_DATA_DIR=/opt/mise MISE_CACHE_DIR=/tmp/mise MISE_YES=1
  if ! command -v mise >/dev/null; then
    if ! command -v curl >/dev/null; then
      apt-get update
      apt-get install -y --no-install-recommends curl ca-certificates
    fi
    curl -fsSL --retry 2 -o /tmp/mise.sh "${MISE_INSTALL_URL:-https://mise.run}"
    MISE_INSTALL_PATH=/usr/local/bin/mise sh /tmp/mise.sh
    rm /tmp/mise.sh
  fi
  mise install python@3.12
  use "$(mise where python@3.12)"
  rm -rf /tmp/mise
fi
ln -sf "$(command -v python3)" /usr/local/bin/python
present || { echo 'Python 3.12 was installed, but another one answers' >&2; python3 --version; exit 1; }
PYTHON

# Python packages
RUN <<PYTHON_PACKAGES
set -e
if ! python3 -m pip --version >/dev/null 2>&1 && ! python3 -m ensurepip >/dev/null 2>&1 && command -v apt-get >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends python3 python3-pip
  rm -rf /var/lib/apt/lists/*
fi
python3 -m pip install --no-cache-dir \
  'numpy' \
  'pandas'
PYTHON_PACKAGES
