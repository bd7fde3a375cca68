package container

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/build"
	"github.com/bothy-computer/bothy/runtime/image"
)

// engine builds with small computers.
func (n *node) engine() *build.Engine {
	return &build.Engine{Machines: n.Driver, Images: n.Images.(withOther).Store, Aliases: map[string]string{build.DefaultBase: "host"},
		Resources: runtime.Resources{MemoryBytes: 256 << 20, MilliCPU: 1000, StorageBytes: 64 << 20, PIDs: 64}}
}

// built makes an image and returns its digest and log.
func (n *node) built(ctx context.Context, b runtime.Build) (string, string, error) {
	n.t.Helper()
	var log bytes.Buffer
	b.Machine, b.Log = runtime.ID(uuid.Must(uuid.NewV7()).String()), &log
	digest, err := n.engine().Build(ctx, 1, b)
	if _, gone := n.Inspect(n.t.Context(), b.Machine); !errors.Is(gone, runtime.ErrNotFound) {
		n.t.Errorf("the machine is still there: %v", gone)
	}
	return digest, log.String(), err
}

const wholeDockerfile = `FROM testbase-base
ENV GREETING=hello
WORKDIR /srv/app
RUN echo "$GREETING from $(pwd) by $(id -un)" > said
COPY --chown=node:node --chmod=750 <<EOF /opt/script
#!/bin/sh
echo script says $GREETING
EOF
RUN <<EOF
set -e
mkdir /usr/local/lib/it
ln -s ../script /opt/it
EOF
RUN <<EOF
#!/usr/bin/env python3
open("/opt/python", "w").write("python was here")
EOF
USER node
RUN id -un > /tmp/who
`

func TestADockerfileBecomesAnImage(t *testing.T) {
	n := newNode(t, 1) // steps may get a blank computer
	digest, log, err := n.built(t.Context(), runtime.Build{Dockerfile: wholeDockerfile, Name: "env-a:1"})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	for _, want := range []string{"STEP 1/9: FROM testbase-base\n", "STEP 4/9: RUN echo", "\n--> "} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
	spec := n.spec()
	spec.Image = "env-a:1"
	id := n.started(spec)
	if got, want := n.says(id, "root", "cat /srv/app/said /opt/python; stat -c '%U:%G %a' /opt/script; readlink /opt/it; ls -d /usr/local/lib/it; cat /tmp/who"), "hello from /srv/app by root\npython was herenode:node 750\n../script\n/usr/local/lib/it\nnode"; got != want {
		t.Errorf("inside:\n%s\nwant:\n%s", got, want)
	}
	begun := time.Now()
	again, log, err := n.built(t.Context(), runtime.Build{Dockerfile: wholeDockerfile, Name: "env-a:2"})
	if err != nil || again != digest || strings.Count(log, "--> Using cache") != 6 {
		t.Errorf("again: %s, want %s: %v\n%s", again, digest, err, log)
	}
	t.Logf("all cached: %v", time.Since(begun))
	changed := strings.Replace(wholeDockerfile, "python was here", "python is here", 1)
	_, log, err = n.built(t.Context(), runtime.Build{Dockerfile: changed, Name: "env-a:3"})
	if err != nil || strings.Count(log, "--> Using cache") != 4 {
		t.Errorf("one line changed: %v\n%s", err, log)
	}
	_, log, err = n.built(t.Context(), runtime.Build{Dockerfile: wholeDockerfile, NoCache: true})
	if err != nil || strings.Contains(log, "cache") {
		t.Errorf("without a cache: %v\n%s", err, log)
	}
}

// Tags and digests of other accounts' images get around: in logs, by former
// members.
func TestABuildStandsOnNoImageOfAnEnvironment(t *testing.T) {
	n := newNode(t, 0)
	tag := "env-" + strings.Repeat("a", 22) + ":0123456789ab"
	digest, log, err := n.built(t.Context(), runtime.Build{Dockerfile: "FROM host\nRUN echo secret > /srv/secret\n", Name: tag})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	for _, other := range []string{tag, digest} {
		for _, file := range []string{"FROM " + other + "\nRUN cat /srv/secret\n", "FROM host\nCOPY --from=" + other + " /srv/secret /srv/\n"} {
			_, log, err := n.built(t.Context(), runtime.Build{Dockerfile: file})
			if err == nil || !strings.Contains(err.Error(), "no image to build on") {
				t.Errorf("%q: %v\n%s", file, err, log)
			}
		}
	}
}

const stagedDockerfile = `FROM host AS tools
RUN mkdir -p /opt/t/sub && echo one > /opt/t/a.txt && echo two > /opt/t/b.txt && echo three > /opt/t/sub/c && ln -s a.txt /opt/t/l && chown 33:44 /opt/t/sub/c && chmod 750 /opt/t/sub
FROM host
RUN mkdir /srv/there
COPY --from=tools /opt/t/*.txt /srv/there
COPY --from=tools /opt/t /srv/all
COPY --from=tools --chown=node --chmod=640 /opt/t/l /srv/link
COPY --from=host /usr/bin/true /usr/local/bin/yes-true
RUN yes-true
`

func TestFilesAreCopiedBetweenStages(t *testing.T) {
	n := newNode(t, 0)
	_, log, err := n.built(t.Context(), runtime.Build{Dockerfile: stagedDockerfile, Name: "env-d:1"})
	if err != nil {
		t.Fatalf("%v\n%s", err, log)
	}
	spec := n.spec()
	spec.Image = "env-d:1"
	id := n.started(spec)
	if got, want := n.says(id, "root", "cd /srv; ls there; cat there/* all/l all/sub/c; stat -c '%u:%g %a' all/sub/c all/sub; stat -c '%F %U %a' link; cat link; ls /opt"), "a.txt\nb.txt\none\ntwo\none\nthree\n33:44 644\n0:0 750\nregular file node 640\none"; got != want {
		t.Errorf("inside:\n%s\nwant:\n%s", got, want)
	}
	for name, line := range map[string]string{"no such file": "/no/such", "no match": "/opt/x*", "out": "/../../../../etc/shadow-not-here"} {
		if _, _, err := n.built(t.Context(), runtime.Build{Dockerfile: "FROM host\nCOPY --from=host " + line + " /srv/x\n", Name: "env-d:2"}); err == nil || !strings.HasPrefix(err.Error(), "Build failed at step 2/2: ") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABuildThatKeepsNothingLeavesNothing(t *testing.T) {
	n := newNode(t, 0)
	store := n.Images.(withOther).Store
	count := func() int {
		all, err := store.List(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	dockerfile := "FROM host\nRUN echo " + uuid.NewString() + " > /opt/x\nCMD [\"x\"]\n"
	if _, _, err := n.built(t.Context(), runtime.Build{Dockerfile: dockerfile, Name: "env-k:1"}); err != nil {
		t.Fatal(err)
	}
	if _, log, err := n.built(t.Context(), runtime.Build{Dockerfile: dockerfile, NoCache: true}); err != nil || strings.Contains(log, "cache") {
		t.Fatalf("%v\n%s", err, log)
	}
	if _, log, err := n.built(t.Context(), runtime.Build{Dockerfile: dockerfile, Name: "env-k:2"}); err != nil || !strings.Contains(log, "Using cache") {
		t.Errorf("it took away what another build keeps: %v\n%s", err, log)
	}
	before := count()
	dockerfile = "FROM host\nRUN echo " + uuid.NewString() + " > /opt/x\nCMD [\"x\"]\n"
	digest, _, err := n.built(t.Context(), runtime.Build{Dockerfile: dockerfile})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Sweep(t.Context(), image.Sweeping{}); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Layers(t.Context(), digest); !errors.Is(err, runtime.ErrNoImage) || count() > before {
		t.Errorf("it was kept: %v, %d images and then %d", err, before, count())
	}
}

func TestBuildsThatFailSayWhy(t *testing.T) {
	n := newNode(t, 0)
	for name, tt := range map[string]struct{ dockerfile, want string }{
		"a step that fails":     {"FROM host\nRUN true\nRUN echo 'it is broken' >&2; exit 3\nRUN true\n", "Build failed at step 3/4: it is broken"},
		"no such base":          {"FROM no-such-base\nRUN true\n", "Build failed at step 1/1: "},
		"a syntax error":        {"FROM host\nRUNN true\n", "Dockerfile syntax error on line 2: "},
		"an unknown package":    {"FROM host\nRUN apt-get install -y no-such-package-x\n", "Package not found: no-such-package-x"},
		"a full disk":           {"FROM host\nRUN dd if=/dev/zero of=/opt/full bs=1M count=100\n", "Build failed at step 2/2: "},
		"no memory left":        {"FROM host\nRUN python3 -c 'bytearray(1 << 30)'\n", "Build failed at step 2/2: "},
		"an unknown user":       {"FROM host\nUSER nobody-there\nRUN true\n", "Build failed at step 3/3: "},
		"an unknown owner":      {"FROM host\nCOPY --chown=nobody-there <<EOF /x\nEOF\n", "Build failed at step 2/2: "},
		"a program not there":   {"FROM host\nRUN [\"/no/such\"]\n", "Build failed at step 2/2: "},
		"a file on a directory": {"FROM host\nCOPY <<EOF /opt\nEOF\n", "Build failed at step 2/2: "},
	} {
		t.Run(name, func(t *testing.T) {
			_, log, err := n.built(t.Context(), runtime.Build{Dockerfile: tt.dockerfile, Name: "env-b:1"})
			var failure *runtime.BuildFailure
			if !errors.As(err, &failure) || !strings.HasPrefix(failure.Reason, tt.want) {
				t.Fatalf("%v, want %q\n%s", err, tt.want, log)
			}
			t.Log(failure.Reason)
		})
	}
}

func TestABuildEndsWithItsTime(t *testing.T) {
	n := newNode(t, 0)
	for name, script := range map[string]string{
		"a step that never ends": "sleep infinity", "a fork bomb": "f() { f | f & }; f; sleep infinity",
		"one that ignores signals": "trap '' TERM INT HUP; while :; do sleep 1; done",
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			_, log, err := n.built(ctx, runtime.Build{Dockerfile: "FROM host\nRUN " + script + "\n", Name: "env-c:1"})
			var failure *runtime.BuildFailure
			// A bomb may leave its own shell without a child: that ends the step too.
			if !errors.As(err, &failure) || failure.Reason != "Build timeout after 2 s" && name != "a fork bomb" {
				t.Fatalf("%v\n%s", err, log)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	b := runtime.Build{Dockerfile: "FROM host\nRUN echo begun; sleep infinity\n", Name: "env-c:1", Machine: runtime.ID(uuid.Must(uuid.NewV7()).String())}
	b.Log = writerFunc(func(p []byte) (int, error) {
		if bytes.Equal(p, []byte("begun\n")) {
			cancel()
		}
		return len(p), nil
	})
	if _, err := n.engine().Build(ctx, 1, b); !errors.Is(err, context.Canceled) {
		t.Fatalf("cancelled: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestLayStaysInside(t *testing.T) {
	n := newNode(t, 0)
	digest := n.committed("host", "ln -s /../../../../etc /opt/up; ln -s /etc/passwd /opt/passwd; mkdir -p /opt/d; rm -f /etc/group; mkfifo /etc/group")
	spec := n.spec()
	spec.Image = digest
	if err := n.Create(t.Context(), 1, spec); err != nil {
		t.Fatal(err)
	}
	lay := func(owner string, e image.Entry) error {
		return n.Lay(t.Context(), 1, spec.ID, owner, []image.Entry{e})
	}
	for _, e := range []image.Entry{{Path: "/opt/up/inside", Data: "a", Mode: 0o644}, {Path: "/opt/passwd", Data: "mine", Mode: 0o600}, {Path: "/new/dir", Dir: true, Mode: 0o750}} {
		if err := lay("node", e); err != nil {
			t.Fatalf("%s: %v", e.Path, err)
		}
	}
	for _, e := range []image.Entry{{Path: "relative"}, {Path: "/a/../../b"}, {Path: "/opt/passwd/below"}, {Path: "/opt/d"}, {Path: "/"}} {
		if err := lay("", e); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("%q: %v", e.Path, err)
		}
	}
	if err := lay("root:no-such-group", image.Entry{Path: "/x"}); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("an unknown group: %v", err)
	}
	if err := n.Start(t.Context(), 1, spec.ID); err != nil {
		t.Fatal(err)
	}
	if got, want := n.says(spec.ID, "root", "cat /etc/inside; stat -c '%u %a' /etc/inside; stat -c '%F %u' /opt/passwd; stat -c '%u %a' /new /new/dir; head -c 4 /etc/passwd"), "a1000 644\nregular file 1000\n1000 755\n1000 750\nroot"; got != want {
		t.Errorf("inside: %q, want %q", got, want)
	}
}
