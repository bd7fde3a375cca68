FROM docker.io/library/debian:12
WORKDIR /workspace
ARG DEBIAN_FRONTEND=noninteractive
ENV PIP_BREAK_SYSTEM_PACKAGES=1
ENV PATH=/opt/nodejs/22/bin:$PATH

# Node.js 22
RUN <<NODEJS
set -e
mkdir -p /usr/local/bin
present() { node --version 2>&1 | grep -Eq '^v22([^0-9]|$)'; }
if present; then
  echo 'Node.js 22 is in the base image'
else
  case $(uname -m) in
    x86_64) arch=amd64 ;;
    aarch64) arch=arm64 ;;
    *) arch=$(uname -m) ;;
  esac
  if ! command -v curl >/dev/null; then
    apt-get update
    apt-get install -y --no-install-recommends curl ca-certificates
  fi
  rm -rf /opt/nodejs/22 /opt/nodejs/22.new
  mkdir -p /opt/nodejs/22.new
  curl -fsSL --retry 2 -o /tmp/runtime.tar.gz 'https://mirror.example/node-22-linux-'"$arch"'.tar.gz'
  tar -xzf /tmp/runtime.tar.gz -C /opt/nodejs/22.new --no-same-owner
  rm /tmp/runtime.tar.gz
  if [ -d /opt/nodejs/22.new/bin ]; then
    mv /opt/nodejs/22.new /opt/nodejs/22
  else
    mv /opt/nodejs/22.new/* /opt/nodejs/22
    rmdir /opt/nodejs/22.new
  fi
  ln -sf /opt/nodejs/22/bin/* /usr/local/bin/
  hash -r
fi
if ! command -v npm >/dev/null && command -v apt-get >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends npm
  rm -rf /var/lib/apt/lists/*
fi
present || { echo 'Node.js 22 was installed, but another one answers' >&2; node --version; exit 1; }
NODEJS

# System packages
RUN <<SYSTEM
set -e
set -- \
  'ffmpeg' \
  'g++' \
  'imagemagick'
if command -v apt-get >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends "$@"
  rm -rf /var/lib/apt/lists/*
elif command -v apk >/dev/null; then
  apk add --no-cache "$@"
else
  echo 'the base image has neither apt-get nor apk' >&2
  exit 1
fi
SYSTEM

# Python packages
RUN <<PYTHON_PACKAGES
set -e
if ! python3 -m pip --version >/dev/null 2>&1 && ! python3 -m ensurepip >/dev/null 2>&1 && command -v apt-get >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends python3 python3-pip
  rm -rf /var/lib/apt/lists/*
fi
python3 -m pip install --no-cache-dir \
  'pandas[excel]>=2, <3'
PYTHON_PACKAGES

# Node packages
RUN <<NODE_PACKAGES
set -e
if ! command -v npm >/dev/null && command -v apt-get >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends npm
  rm -rf /var/lib/apt/lists/*
fi
npm install --global --no-fund --no-audit \
  '@types/node@22' \
  'tsx'
NODE_PACKAGES

# Extensions
ENV GREETING="it's $USER"
RUN pip install custom-package

# Setup scripts
RUN <<SETUP
set -e
npm ci
SETUP
RUN <<SETUP_1
set -e
cat <<SETUP
hello
SETUP
SETUP_1
RUN <<SETUP
#!/usr/bin/env bash
set -e
set -o pipefail
false | true
SETUP
RUN <<SETUP
#!/usr/bin/python3
print('hi')
SETUP
