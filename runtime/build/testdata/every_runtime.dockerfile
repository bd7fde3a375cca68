FROM debian
WORKDIR /workspace
ARG DEBIAN_FRONTEND=noninteractive
ENV PIP_BREAK_SYSTEM_PACKAGES=1
ENV PATH=/opt/go/1.22/bin:/opt/java/17/bin:/opt/nodejs/20/bin:/opt/php/8.2/bin:/opt/python/3.11/bin:/opt/ruby/3.1/bin:/opt/rust/stable/bin:$PATH

# Go 1.22
RUN <<GO
set -e
mkdir -p /usr/local/bin
present() { go version 2>&1 | grep -Eq '^go version go1\.22([^0-9]|$)'; }
use() {
  mkdir -p /opt/go
  ln -sfn "$1" /opt/go/1.22
  ln -sf /opt/go/1.22/bin/* /usr/local/bin/
  hash -r
}
if present; then
  echo 'Go 1.22 is in the base image'
elif command -v apt-get >/dev/null && apt-get update && LC_ALL=C apt-cache policy golang-1.22-go |
  grep -Eq 'Candidate: ([0-9]+:)?1\.22([^0-9]|$)'; then
  apt-get install -y --no-install-recommends golang-1.22-go
  use /usr/lib/go-1.22
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
  mise install go@1.22
  use "$(mise where go@1.22)"
  rm -rf /tmp/mise
fi
present || { echo 'Go 1.22 was installed, but another one answers' >&2; go version; exit 1; }
GO

# Java 17
RUN <<JAVA
set -e
mkdir -p /usr/local/bin
present() { javac -version 2>&1 | grep -Eq '^javac 17([^0-9]|$)'; }
use() {
  mkdir -p /opt/java
  ln -sfn "$1" /opt/java/17
  ln -sf /opt/java/17/bin/* /usr/local/bin/
  hash -r
}
if present; then
  echo 'Java 17 is in the base image'
elif command -v apt-get >/dev/null && apt-get update && LC_ALL=C apt-cache policy openjdk-17-jdk-headless |
  grep -Eq 'Candidate: ([0-9]+:)?17([^0-9]|$)'; then
  apt-get install -y --no-install-recommends openjdk-17-jdk-headless
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
  mise install java@17
  use "$(mise where java@17)"
  rm -rf /tmp/mise
fi
present || { echo 'Java 17 was installed, but another one answers' >&2; javac -version; exit 1; }
JAVA

# Node.js 20
RUN <<NODEJS
set -e
mkdir -p /usr/local/bin
present() { node --version 2>&1 | grep -Eq '^v20([^0-9]|$)'; }
use() {
  mkdir -p /opt/nodejs
  ln -sfn "$1" /opt/nodejs/20
  ln -sf /opt/nodejs/20/bin/* /usr/local/bin/
  hash -r
}
if present; then
  echo 'Node.js 20 is in the base image'
elif command -v apt-get >/dev/null && apt-get update && LC_ALL=C apt-cache policy nodejs |
  grep -Eq 'Candidate: ([0-9]+:)?20([^0-9]|$)'; then
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
  mise install node@20
  use "$(mise where node@20)"
  rm -rf /tmp/mise
fi
if ! command -v npm >/dev/null && command -v apt-get >/dev/null; then
  apt-get update
  apt-get install -y --no-install-recommends npm
  rm -rf /var/lib/apt/lists/*
fi
present || { echo 'Node.js 20 was installed, but another one answers' >&2; node --version; exit 1; }
NODEJS

# PHP 8.2
RUN <<PHP
set -e
mkdir -p /usr/local/bin
present() { php --version 2>&1 | grep -Eq '^PHP 8\.2([^0-9]|$)'; }
use() {
  mkdir -p /opt/php
  ln -sfn "$1" /opt/php/8.2
  ln -sf /opt/php/8.2/bin/* /usr/local/bin/
  hash -r
}
if present; then
  echo 'PHP 8.2 is in the base image'
elif command -v apt-get >/dev/null && apt-get update && LC_ALL=C apt-cache policy php8.2-cli |
  grep -Eq 'Candidate: ([0-9]+:)?8\.2([^0-9]|$)'; then
  apt-get install -y --no-install-recommends php8.2-cli
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
  mise install php@8.2
  use "$(mise where php@8.2)"
  rm -rf /tmp/mise
fi
present || { echo 'PHP 8.2 was installed, but another one answers' >&2; php --version; exit 1; }
PHP

# Python 3.11
RUN <<PYTHON
set -e
mkdir -p /usr/local/bin
present() { python3 --version 2>&1 | grep -Eq '^Python 3\.11([^0-9]|$)'; }
use() {
  mkdir -p /opt/python
  ln -sfn "$1" /opt/python/3.11
  ln -sf /opt/python/3.11/bin/* /usr/local/bin/
  hash -r
}
if present; then
  echo 'Python 3.11 is in the base image'
elif command -v apt-get >/dev/null && apt-get update && LC_ALL=C apt-cache policy python3 |
  grep -Eq 'Candidate: ([0-9]+:)?3\.11([^0-9]|$)'; then
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
  mise install python@3.11
  use "$(mise where python@3.11)"
  rm -rf /tmp/mise
fi
ln -sf "$(command -v python3)" /usr/local/bin/python
present || { echo 'Python 3.11 was installed, but another one answers' >&2; python3 --version; exit 1; }
PYTHON

# Ruby 3.1
RUN <<RUBY
set -e
mkdir -p /usr/local/bin
present() { ruby --version 2>&1 | grep -Eq '^ruby 3\.1([^0-9]|$)'; }
use() {
  mkdir -p /opt/ruby
  ln -sfn "$1" /opt/ruby/3.1
  ln -sf /opt/ruby/3.1/bin/* /usr/local/bin/
  hash -r
}
if present; then
  echo 'Ruby 3.1 is in the base image'
elif command -v apt-get >/dev/null && apt-get update && LC_ALL=C apt-cache policy ruby |
  grep -Eq 'Candidate: ([0-9]+:)?3\.1([^0-9]|$)'; then
  apt-get install -y --no-install-recommends ruby ruby-dev
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
  mise install ruby@3.1
  use "$(mise where ruby@3.1)"
  rm -rf /tmp/mise
fi
present || { echo 'Ruby 3.1 was installed, but another one answers' >&2; ruby --version; exit 1; }
RUBY

# Rust stable
RUN <<RUST
set -e
mkdir -p /usr/local/bin
present() { rustc --version 2>&1 | grep -Eq '^rustc [0-9.]+( |$)'; }
use() {
  mkdir -p /opt/rust
  ln -sfn "$1" /opt/rust/stable
  ln -sf /opt/rust/stable/bin/* /usr/local/bin/
  hash -r
}
if present; then
  echo 'Rust stable is in the base image'
else
  export MISE_DATA_DIR=/opt/mise MISE_CACHE_DIR=/tmp/mise MISE_YES=1 MISE_RUSTUP_HOME=/opt/rustup MISE_CARGO_HOME=/opt/cargo
  if ! command -v mise >/dev/null; then
    if ! command -v curl >/dev/null; then
      apt-get update
      apt-get install -y --no-install-recommends curl ca-certificates
    fi
    curl -fsSL --retry 2 -o /tmp/mise.sh "${MISE_INSTALL_URL:-https://mise.run}"
    MISE_INSTALL_PATH=/usr/local/bin/mise sh /tmp/mise.sh
    rm /tmp/mise.sh
  fi
  mise install rust@stable
  use /opt/rustup/toolchains/stable*
  rm -rf /tmp/mise
fi
present || { echo 'Rust stable was installed, but another one answers' >&2; rustc --version; exit 1; }
RUST
