# make up      a node in the foreground; ARGS="--nodes 3" and other flags of `bothy up`
# make build   bin/bothy, without root
# make assets  the pages of computers, which are part of it
# make test    everything that CI checks; needs root, for real computers
# make bench   measures, on an otherwise idle machine
# make install  bothy, its configuration and its systemd unit on this machine; DESTDIR and PREFIX as usual
# make image   the image of a node, by docker; ENGINE="podman" or "buildah" by those
# make generate  what is generated: of the guest's protocol, by protoc, and the configuration reference

GO      ?= go
ARGS    ?=
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unversioned)
PREFIX  ?= /usr/local
ENGINE  ?= docker
IMAGE   ?= bothy:$(VERSION)
GUEST   := runtime/guest/embedded/guest
PAGES   := httpapi/console
# Tests end well before CI's patience does, with a stack trace of what hangs.
TEST_TIMEOUT ?= 12m

# Who owns a clone is no matter of the build; VERSION says which commit it is.
export GOFLAGS += -buildvcs=false

.PHONY: up build binary guest assets test bench install image generate root packages format

up: root packages build
	@exec bin/bothy up $(ARGS)

# Computers are made of mounts, cgroups, user and network namespaces.
root:
	@[ "$$(id -u)" = 0 ] || { \
	  echo "make up needs root: a node mounts the root of each computer, puts it in a cgroup and gives it" >&2; \
	  echo "a network of its own. Run: sudo env PATH=\"$$PATH\" make up   (make build needs no root)" >&2; exit 1; }

packages:
	@deploy/packages run

build: guest assets
	@$(MAKE) --no-print-directory binary

binary:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o bin/bothy ./cmd/bothy

guest:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w' -o $(GUEST) ./cmd/guest

# Made again only when their sources have changed.
assets: $(PAGES)/dist/licences.txt

$(PAGES)/dist/licences.txt: $(PAGES)/web/node_modules/.package-lock.json $(wildcard $(PAGES)/web/src/*) $(PAGES)/web/build.mjs
	cd $(PAGES)/web && node build.mjs

$(PAGES)/web/node_modules/.package-lock.json: $(PAGES)/web/package.json $(PAGES)/web/package-lock.json
	@command -v npm >/dev/null || { echo "make assets needs npm. Run as root: deploy/packages run" >&2; exit 1; }
	cd $(PAGES)/web && npm ci --ignore-scripts --no-audit --no-fund --loglevel error
	@touch $@

# The tests and the bothy that they start are one -race build. The packages that
# take longest begin first, and more at a time than the two cores that CI has, since
# many wait for nodes.
test: guest assets format
	$(GO) build -race -o bin/bothy-race ./cmd/bothy
	BOTHY_TEST_BINARY=$(CURDIR)/bin/bothy-race $(GO) test -race -vet=all -timeout $(TEST_TIMEOUT) -p 3 ./cmd/bothy ./runtime/container ./bench/nemesis ./...

format:
	@changed=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$changed" ] || { echo "gofmt would change:"; echo "$$changed"; exit 1; }

# What an operator has written in /etc/bothy stays.
install:
	@[ -x bin/bothy ] || { echo "make install puts bin/bothy in place: run make build first, as an ordinary user" >&2; exit 1; }
	install -D -m 0755 bin/bothy $(DESTDIR)$(PREFIX)/bin/bothy
	install -d -m 0755 $(DESTDIR)/etc/bothy
	[ -e $(DESTDIR)/etc/bothy/bothy.yaml ] || install -m 0644 deploy/systemd/bothy.yaml $(DESTDIR)/etc/bothy/bothy.yaml
	install -d -m 0755 $(DESTDIR)/usr/lib/systemd/system
	sed 's|/usr/local/bin/bothy|$(PREFIX)/bin/bothy|' deploy/systemd/bothy.service > $(DESTDIR)/usr/lib/systemd/system/bothy.service
	install -D -m 0644 deploy/systemd/tmpfiles.conf $(DESTDIR)/usr/lib/tmpfiles.d/bothy.conf
	install -d -m 0711 $(DESTDIR)/var/lib/bothy

image:
	$(ENGINE) build $(ARGS) --build-arg VERSION=$(VERSION) --tag $(IMAGE) --file deploy/Dockerfile .

bench: build
	$(GO) run ./bench $(ARGS)

generate:
	BOTHY_TEST_BINARY=none $(GO) test ./cmd/bothy -run TestReferenceIsOfThisConfig -update
	GOBIN=$(CURDIR)/bin/tools $(GO) install google.golang.org/protobuf/cmd/protoc-gen-go connectrpc.com/connect/cmd/protoc-gen-connect-go
	PATH=$(CURDIR)/bin/tools:$$PATH $(GO) generate ./...
