package image

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

// kitchen is a bootstrapper whose makings end when the test says so.
type kitchen struct {
	begun    chan string  // the first package of each making that begins
	proceed  chan error   // how each ends
	now, max atomic.Int32 // makings under way
	tar      []byte
}

func newKitchen(t *testing.T) *kitchen {
	return &kitchen{begun: make(chan string, 16), proceed: make(chan error, 16), tar: tarOf(t, dir("etc"), file("etc/os-release"))}
}

func (k *kitchen) bootstrap(ctx context.Context, b bootstrap, to io.Writer) error {
	n := k.now.Add(1)
	defer k.now.Add(-1)
	for old := k.max.Load(); n > old && !k.max.CompareAndSwap(old, n); old = k.max.Load() {
	}
	if err := os.WriteFile(filepath.Join(b.dir, "scratch"), nil, 0o600); err != nil {
		return err
	}
	if _, err := to.Write(k.tar[:512]); err != nil {
		return err
	}
	b.say("mixing")
	k.begun <- b.packages[0]
	select {
	case err := <-k.proceed:
		if err != nil {
			return err
		}
	case <-ctx.Done():
		return ctx.Err()
	}
	_, err := to.Write(k.tar[512:])
	return err
}

func (k *kitchen) open(t *testing.T) *Store {
	s := openStore(t, Options{machine: testMachine(t), bootstrap: k.bootstrap, Recipes: []Recipe{
		{Name: "plain", Description: "plain one", Packages: []string{"p"}},
		{Name: "screen", Packages: []string{"q"}, Config: Config{Desktop: "/show"}, Files: fstest.MapFS{
			"show": {Data: []byte("#!/bin/sh\n")}, "etc/text": {Data: []byte("text")},
		}},
		{Name: "vast", Packages: []string{"v"}, RoomBytes: 1 << 60},
	}})
	s.makings.patient = 0
	return s
}

// listed is what List tells of a name.
func listed(t *testing.T, s *Store, name string) Info {
	t.Helper()
	all, err := s.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var found []Info
	for _, info := range all {
		if strings.Join(info.Names, " ") == name {
			found = append(found, info)
		}
	}
	if len(found) != 1 {
		t.Fatalf("%s is listed %d times: %+v", name, len(found), all)
	}
	return found[0]
}

func TestMakingOnDemand(t *testing.T) {
	k := newKitchen(t)
	s := k.open(t)
	if i := listed(t, s, "screen"); i.State != Available || i.Digest != "" || i.Config.Desktop != "/show" {
		t.Fatalf("at first %+v", i)
	}
	digests := make(chan string, 8)
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			digest, err := s.Resolve(t.Context(), "screen")
			if err != nil {
				t.Error(err)
			}
			digests <- digest
		})
	}
	<-k.begun
	if i := listed(t, s, "screen"); i.State != Building || i.Reason != "mixing" {
		t.Errorf("while it is made %+v", i)
	}
	if _, err := s.Resolve(t.Context(), Host); err != nil { // others are served meanwhile
		t.Error(err)
	}
	k.proceed <- nil
	asking.Wait()
	digest := <-digests
	for range 7 {
		if other := <-digests; other != digest {
			t.Errorf("%s and %s", digest, other)
		}
	}
	if i := listed(t, s, "screen"); i.State != Active || i.Digest != digest || i.Config.Desktop != "/show" || i.Bytes == 0 {
		t.Errorf("at last %+v", i)
	}
	layers, err := s.Layers(t.Context(), digest)
	if err != nil || tree(t, layers[0].Path) != "etc/ etc/os-release etc/text show" {
		t.Fatalf("%v, %v", layers, err)
	}
	for name, mode := range map[string]os.FileMode{"show": 0o755, "etc/text": 0o644} {
		if info, err := os.Stat(filepath.Join(layers[0].Path, name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	expectNothingUnfinished(t, s)

	if err := s.Remove(t.Context(), "screen"); err != nil {
		t.Fatal(err)
	}
	if i := listed(t, s, "screen"); i.State != Available {
		t.Errorf("removed %+v", i)
	}
	k.proceed <- nil
	if again, err := s.Resolve(t.Context(), "screen"); err != nil || again != digest {
		t.Errorf("made again from the same: %s, %v", again, err)
	}
}

func TestOneMakingAtATime(t *testing.T) {
	k := newKitchen(t)
	s := k.open(t)
	var asking sync.WaitGroup
	for _, name := range []string{"plain", "screen"} {
		asking.Go(func() {
			if _, err := s.Resolve(t.Context(), name); err != nil {
				t.Error(err)
			}
		})
	}
	waits := map[string]string{"p": "screen", "q": "plain"}[<-k.begun]
	expectSoon(t, func() bool {
		i := listed(t, s, waits)
		return i.State == Building && i.Reason == "waiting for another image"
	})
	k.proceed <- nil
	k.proceed <- nil
	asking.Wait()
	if k.max.Load() != 1 {
		t.Errorf("%d at once", k.max.Load())
	}
}

func expectSoon(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never came true")
		}
	}
}

func TestAMakingFails(t *testing.T) {
	k := newKitchen(t)
	s := k.open(t)
	s.makings.patient = time.Hour
	k.proceed <- errors.New("no such package: salt")
	_, err := s.Resolve(t.Context(), "plain")
	if !errors.Is(err, runtime.ErrUnready) || !strings.Contains(err.Error(), "salt") {
		t.Fatal(err)
	}
	expectNothingUnfinished(t, s)
	if i := listed(t, s, "plain"); i.State != Failed || !strings.Contains(i.Reason, "salt") {
		t.Errorf("%+v", i)
	}
	// The failure is the answer for a while, and then it is tried again.
	<-k.begun
	if _, err := s.Resolve(t.Context(), "plain"); !errors.Is(err, runtime.ErrUnready) || len(k.begun) != 0 {
		t.Errorf("at once: %v, %d begun", err, len(k.begun))
	}
	s.makings.patient = 0
	k.proceed <- nil
	if _, err := s.Resolve(t.Context(), "plain"); err != nil {
		t.Error(err)
	}

	k.tar = append(k.tar[:512:512], strings.Repeat("x", 1024)...)
	k.proceed <- nil
	if _, err := s.Resolve(t.Context(), "screen"); !errors.Is(err, runtime.ErrUnready) || !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("a broken tar: %v", err)
	}
	if _, err := s.Resolve(t.Context(), "vast"); !errors.Is(err, runtime.ErrFull) {
		t.Errorf("without room: %v", err)
	}
	if _, err := s.Resolve(t.Context(), "other"); !errors.Is(err, runtime.ErrNoImage) {
		t.Errorf("no recipe: %v", err)
	}
	expectNothingUnfinished(t, s)
}

func TestAMakingOutlivesItsCaller(t *testing.T) {
	k := newKitchen(t)
	s := k.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-k.begun; cancel() }()
	_, err := s.Resolve(ctx, "plain")
	if !errors.Is(err, runtime.ErrUnready) || !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "mixing") {
		t.Fatal(err)
	}
	k.proceed <- nil
	if _, err := s.Resolve(t.Context(), "plain"); err != nil || len(k.begun) != 0 {
		t.Errorf("%v, %d begun anew", err, len(k.begun))
	}
}

func TestAnImportGoesBeforeAMaking(t *testing.T) {
	k := newKitchen(t)
	s := k.open(t)
	digest, err := importPath(t, s, "plain", writeLayout(t, twoLayers(t)))
	if err != nil {
		t.Fatal(err)
	}
	if got, err := s.Resolve(t.Context(), "plain"); err != nil || got != digest || len(k.begun) != 0 {
		t.Errorf("%s, %v", got, err)
	}
}

func TestCloseEndsAMaking(t *testing.T) {
	k := newKitchen(t)
	s := k.open(t)
	ended := make(chan error, 1)
	go func() { _, err := s.Resolve(t.Context(), "plain"); ended <- err }()
	<-k.begun
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, runtime.ErrUnready) {
		t.Error(err)
	}
	expectNothingUnfinished(t, s)
	if _, err := s.Resolve(t.Context(), "screen"); !errors.Is(err, runtime.ErrUnready) {
		t.Errorf("after the end: %v", err)
	}
}

// TestContained: what a bootstrap mounts is its own, and nothing outlives it.
func TestContained(t *testing.T) {
	at, mark := t.TempDir(), filepath.Join(t.TempDir(), "mounted")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := contained(ctx, []string{"sh", "-c", `mount -t tmpfs x "$0" && touch "$0/inside" && { setsid sleep 321 & touch "$1"; wait; }`, at, mark})
	ended := make(chan error, 1)
	go func() { ended <- runToEnd(cmd) }()
	expectSoon(t, func() bool { _, err := os.Stat(mark); return err == nil })
	if seen, err := os.ReadDir(at); err != nil || len(seen) != 0 {
		t.Errorf("its mount shows here: %v, %v", seen, err)
	}
	cancel()
	if err := <-ended; err == nil {
		t.Error("it ended well")
	}
	if err := unix.Kill(-cmd.Process.Pid, 0); !errors.Is(err, unix.ESRCH) {
		t.Errorf("its group: %v", err)
	}
	if out, err := exec.Command("pgrep", "-f", "^sleep 321").Output(); err == nil {
		t.Errorf("outlived it: %s", out)
	}
}

func TestSourcesOfAMachine(t *testing.T) {
	machine := testMachine(t)
	d := debian{machine: machine}
	if _, err := d.sourceFiles(); !errors.Is(err, runtime.ErrUnsupported) {
		t.Errorf("of no Debian: %v", err)
	}
	plant(t, machine, map[string]string{
		"etc/os-release":                     "NAME=x\nID=debian\n",
		"etc/apt/sources.list.d/a.sources":   "Types: deb\nSigned-By: /usr/share/keyrings/a.gpg\n",
		"etc/apt/sources.list.d/b.list":      "deb [arch=amd64 signed-by=/etc/apt/keyrings/b.gpg] http://b.example.org x main\n",
		"etc/apt/sources.list.d/c.list":      "# deb [signed-by=/etc/apt/keyrings/gone.gpg] http://c.example.org x main\ndeb http://c.example.org x main\n",
		"etc/apt/sources.list.d/off.list":    "# nothing\n",
		"etc/apt/sources.list.d/was.list":    "# deb https://ann:" + secret + "@apt.example.org x main\ndeb http://apt.example.org x main\n",
		"etc/apt/sources.list.d/x.list.save": "deb http://c.example.org x main\n",
		"usr/share/keyrings/a.gpg":           "key a", "etc/apt/keyrings/b.gpg": "key b",
	})
	files, err := d.sourceFiles()
	var names []string
	for _, f := range files {
		names = append(names, filepath.Base(f))
	}
	// own.list and was.list have a password in them.
	if strings.Join(names, " ") != "sources.list b.list c.list a.sources" || err != nil {
		t.Errorf("%v, %v", names, err)
	}
	keys, err := d.keys()
	if err != nil || len(keys) != 2 || string(keys["usr/share/keyrings/a.gpg"]) != "key a" || string(keys["etc/apt/keyrings/b.gpg"]) != "key b" {
		t.Errorf("%v, %v", keys, err)
	}
	d.sources = filepath.Join(machine, "etc/apt/sources.list")
	if files, err := d.sourceFiles(); err != nil || len(files) != 1 {
		t.Errorf("configured: %v, %v", files, err)
	}
	for _, name := range []string{"own.list", "was.list"} {
		d.sources = filepath.Join(machine, "etc/apt/sources.list.d", name)
		if files, err := d.sourceFiles(); !errors.Is(err, runtime.ErrUnsupported) || strings.Contains(err.Error(), secret) {
			t.Errorf("configured with a password: %v, %v", files, err)
		}
	}
}

func TestComplaint(t *testing.T) {
	var steps []string
	c := complaint{say: func(s string) { steps = append(steps, s) }}
	for _, p := range []string{"I: on", "e\nnoise\nI: two\n", strings.Repeat("n", 2*maxComplaintBytes), "\nE: the", " end\nE: really\n"} {
		if n, err := c.Write([]byte(p)); n != len(p) || err != nil {
			t.Fatal(n, err)
		}
	}
	if strings.Join(steps, ",") != "one,two" || c.text() != "E: the end; E: really" || len(c.kept) != maxComplaintBytes {
		t.Errorf("%q, %q, %d", steps, c.text(), len(c.kept))
	}
}
