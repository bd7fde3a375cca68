package container

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/nftables"
	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/image"
	"github.com/bothy-computer/bothy/runtime/snapshot"
	"github.com/bothy-computer/bothy/runtime/volume"
	"github.com/bothy-computer/bothy/runtime/warden"
	"github.com/bothy-computer/bothy/runtime/warden/cgroup"
)

// node is what a test has of a machine: everything below one directory, under
// a uuid of its own.
type node struct {
	t    testing.TB
	dir  string
	uuid string
	pool *volume.Pool
	*Driver
	epoch   runtime.Epoch // of sh and says
	servers []netip.AddrPort
	store   string // directory of the blob store; "" for none
}

// newNode makes an empty node and takes everything of it away at the end.
func newNode(t testing.TB, warm int) *node {
	t.Helper()
	n := closedNode(t)
	n.open(warm)
	return n
}

// closedNode is a node that was never opened.
func closedNode(t testing.TB) *node {
	t.Helper()
	dir, err := os.MkdirTemp("", testMark)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, dir: dir, epoch: 1, uuid: testMark + uuid.NewString()[:8]}
	t.Cleanup(n.destroy)
	return n
}

// open opens, or opens again, a driver over the node's directory.
func (n *node) open(warm int) {
	n.t.Helper()
	d, pool, err := openDriver(n.dir, n.uuid, warm, n.store, n.servers...)
	if err != nil {
		n.t.Fatal(err)
	}
	n.Driver, n.pool = d, pool
}

func openDriver(dir, node string, warm int, store string, servers ...netip.AddrPort) (*Driver, *volume.Pool, error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	images, err := sharedImages()
	if err != nil {
		return nil, nil, err
	}
	pool, err := volume.Open(volume.Options{Dir: filepath.Join(dir, "pool"), SizeBytes: 512 << 20, Log: log})
	if err != nil {
		return nil, nil, err
	}
	w, err := warden.Spawn(context.Background(), warden.SpawnOptions{
		Argv: []string{"/proc/self/exe", wardenArg, dir, node}, Dir: dir, Log: log,
	})
	if err != nil {
		return nil, nil, err
	}
	var saves Saves
	if store != "" {
		if saves, err = openSaves(dir, store); err != nil {
			return nil, nil, err
		}
	}
	inbox, err := snapshot.OpenInbox(context.Background(), filepath.Join(dir, "inbox"))
	if err != nil {
		return nil, nil, err
	}
	d, err := Open(Options{
		Saves: saves, Inbox: inbox, Dir: dir, NodeID: node, Images: withOther{images}, Pool: pool, Warden: w, Warm: warm, Log: log,
		GuestPath: guestBinary, RangeDir: rangeDir(), Servers: servers,
	})
	return d, pool, err
}

// openSaves opens a blob store in a directory.
func openSaves(dir, store string) (*snapshot.Saver, error) {
	return snapshot.Open(context.Background(), snapshot.Options{Store: blob.NewDir(store), IDFile: filepath.Join(dir, "store.json"), Grace: time.Nanosecond})
}

// leave closes the driver as a node does that ends, computers running.
func (n *node) leave() {
	n.t.Helper()
	if err := n.Close(); err != nil {
		n.t.Error(err)
	}
	if err := n.pool.Close(); err != nil {
		n.t.Error(err)
	}
}

func (n *node) destroy() {
	if n.Driver == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	check := func(what string, err error) {
		if err != nil {
			n.t.Errorf("clean up: %s: %v", what, err)
		}
	}
	check("deadline", n.Warden.SetDeadline(ctx, warden.NoDeadline))
	_, err := n.Sweep(ctx, func(runtime.ID) bool { return false })
	check("sweep", err)
	check("close", n.Close())
	check("warm", n.trimWarm(ctx, 0))
	check("warden", n.Warden.Stop(ctx))
	log, err := os.ReadFile(filepath.Join(n.dir, "warden.log"))
	check("warden's log", err)
	if bytes.Contains(log, []byte("DATA RACE")) {
		n.t.Errorf("in the warden: %s", log)
	}
	check("pool", n.pool.Unmount(ctx))
	tree, err := cgroup.Detect()
	check("cgroups", err)
	check("cgroup", warden.Group(tree, n.uuid).Remove())
	check("directory", os.RemoveAll(n.dir))
}

// spec is a small computer of the default image.
func (n *node) spec() runtime.Spec {
	id := uuid.Must(uuid.NewV7()).String()
	return runtime.Spec{ID: runtime.ID(id), Image: "host", Hostname: "hut", Resources: runtime.Resources{
		MemoryBytes: 256 << 20, MilliCPU: 1000, StorageBytes: 64 << 20, PIDs: 128,
	}}
}

// started creates and starts a computer.
func (n *node) started(spec runtime.Spec) runtime.ID {
	n.t.Helper()
	if err := n.Create(n.t.Context(), 1, spec); err != nil {
		n.t.Fatal(err)
	}
	if err := n.Start(n.t.Context(), 1, spec.ID); err != nil {
		n.t.Fatal(err)
	}
	return spec.ID
}

// sh runs a script as a user and returns its exit and all output.
func (n *node) sh(id runtime.ID, user, script string) (runtime.Exit, string) {
	n.t.Helper()
	var out bytes.Buffer
	exit, err := n.Exec(n.t.Context(), n.epoch, id, runtime.Cmd{
		Argv: []string{"/bin/sh", "-c", script}, User: user, Stdout: &out, Stderr: &out, Timeout: 30 * time.Second,
	})
	if err != nil {
		n.t.Fatalf("%s: %v", script, err)
	}
	return exit, strings.TrimSpace(out.String())
}

// says expects a script to end well and returns its output.
func (n *node) says(id runtime.ID, user, script string) string {
	n.t.Helper()
	exit, out := n.sh(id, user, script)
	if exit.Code != 0 {
		n.t.Fatalf("%s: exit %+v: %s", script, exit, out)
	}
	return out
}

// until waits for a fact.
func until(t testing.TB, what string, fact func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if fact() {
			return
		}
	}
	t.Fatalf("never came true: %s", what)
}

// testMark is in the name of all that the tests of this process make on the
// machine, and of nothing that other tests make beside them.
var testMark = fmt.Sprintf("bothytest%dc", os.Getpid())

// sharedImages is one store for all tests of this process, because the image
// of the machine takes a second to make.
var sharedImages = sync.OnceValues(func() (*image.Store, error) {
	return image.Open(image.Options{Dir: filepath.Join(scratch, "images"), Recipes: []image.Recipe{tiny}, Log: slog.New(slog.DiscardHandler)})
})

// otherImage is known by name, and has nothing in it.
const otherImage = "other"

type withOther struct{ *image.Store }

func (w withOther) Use(ctx context.Context, digest string) (func(), error) {
	if digest == "sha256:"+strings.Repeat("0", 64) {
		return func() {}, nil
	}
	return w.Store.Use(ctx, digest)
}

func (w withOther) Resolve(ctx context.Context, name string) (string, error) {
	if name == otherImage {
		return "sha256:" + strings.Repeat("0", 64), nil
	}
	return w.Store.Resolve(ctx, name)
}

// rangeDir is the machine's own table: test processes at once share it with
// each other and with whatever node runs here.
func rangeDir() string { return idmap.DefaultDir }

// machine lists what a leak would show in.
func machine() map[string]map[string]bool {
	out := map[string]map[string]bool{}
	note := func(what, name string) {
		if out[what] == nil {
			out[what] = map[string]bool{}
		}
		out[what][name] = true
	}
	if data, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		for line := range strings.Lines(string(data)) {
			note("mount", strings.Fields(line)[4])
		}
	}
	for what, pattern := range map[string]string{
		"cgroup": "/sys/fs/cgroup/*/bothy/*", "directory": os.TempDir() + "/*", "id range": rangeDir() + "/*",
	} {
		names, _ := filepath.Glob(pattern)
		for _, name := range names {
			note(what, name)
		}
	}
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, path := range loops {
		if file, err := os.ReadFile(path); err == nil {
			note("loop device", strings.TrimSpace(string(file)))
		}
	}
	if c, err := nftables.New(); err == nil {
		tables, _ := c.ListTables()
		for _, table := range tables {
			note("table of rules", table.Name)
		}
	}
	commands, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, path := range commands {
		if line, err := os.ReadFile(path); err == nil && !strings.HasPrefix(path, fmt.Sprintf("/proc/%d/", os.Getpid())) {
			note("process", path+" "+strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return out
}
