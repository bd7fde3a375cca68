package runtimetest

import (
	"errors"
	"net"
	"os"
	"slices"
	"strconv"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

// abilities checks what the driver has beside Driver and Execer.
func abilities(t *testing.T, m *machine) {
	if d, ok := m.Driver.(runtime.Pauser); ok {
		t.Run("pause", func(t *testing.T) { pauses(t, m, d) })
	}
	if d, ok := m.Driver.(runtime.Thawer); ok {
		t.Run("thaw", func(t *testing.T) { thaws(t, m, d) })
	}
	if _, ok := m.Driver.(runtime.Resizer); ok {
		t.Run("resize", func(t *testing.T) { resizes(t, m) })
	}
	if d, ok := m.Driver.(runtime.Listener); ok {
		t.Run("listen", func(t *testing.T) { listens(t, m, d) })
	}
	if d, ok := m.Driver.(runtime.Rebaser); ok {
		t.Run("rebase", func(t *testing.T) { rebases(t, m, d) })
	}
	if d, ok := m.Driver.(runtime.Networker); ok {
		t.Run("egress", func(t *testing.T) { opens(t, m, d) })
	}
	if d, ok := m.Driver.(runtime.Meterer); ok {
		t.Run("usage", func(t *testing.T) { meters(t, m, d) })
	}
	if d, ok := m.Driver.(runtime.Sizer); ok {
		t.Run("capacity", func(t *testing.T) { sizes(t, m, d) })
	}
	if _, ok := m.Driver.(runtime.Snapshotter); ok {
		t.Run("snapshots", func(t *testing.T) { snapshots(t, m) })
	}
	if _, ok := m.Driver.(runtime.Saver); ok {
		t.Run("saves", func(t *testing.T) { saves(t, m) })
	}
	if d, ok := m.Driver.(runtime.Mover); ok && d.Inbox() != nil {
		t.Run("moves", func(t *testing.T) { moves(t, m, d) })
	}
	if d, ok := m.Driver.(runtime.Workspacer); ok {
		t.Run("workspace", func(t *testing.T) { keepsWorkspace(t, m, d) })
	}
}

func pauses(t *testing.T, m *machine, d runtime.Pauser) {
	id := m.running(t)
	before := m.status(t, id)
	for range 2 {
		must(t, "pause", d.Pause(limited(t), 1, id))
		if s := m.inPhase(t, id, runtime.Frozen); s.PID != before.PID {
			t.Errorf("pausing changed the process from %d to %d", before.PID, s.PID)
		}
	}
	for range 2 {
		must(t, "resume", d.Resume(limited(t), 1, id))
		m.inPhase(t, id, runtime.Running)
	}
	if m.commands() != nil {
		m.prints(t, id, 1, "echo awake", "awake\n")
	}
	must(t, "pause", d.Pause(limited(t), 1, id))
	must(t, "stop what is paused", m.Stop(limited(t), 1, id, grace))
	m.inPhase(t, id, runtime.Stopped)
}

func thaws(t *testing.T, m *machine, d runtime.Thawer) {
	id := m.running(t)
	must(t, "thaw what runs", d.Thaw(limited(t), 2, id))
	if s := m.inPhase(t, id, runtime.Running); s.Epoch != 2 {
		t.Errorf("epoch is %d, want 2", s.Epoch)
	}
	if p, ok := d.(runtime.Pauser); ok {
		must(t, "pause", p.Pause(limited(t), 2, id))
		must(t, "thaw", d.Thaw(limited(t), 3, id))
		m.inPhase(t, id, runtime.Running)
	}
}

func listens(t *testing.T, m *machine, d runtime.Listener) {
	id := m.running(t)
	if _, err := d.Listen(limited(t), 0, id); !errors.Is(err, runtime.ErrStaleEpoch) {
		t.Errorf("listening in an old epoch: %v", err)
	}
	listener, err := d.Listen(limited(t), 1, id)
	must(t, "listen", err)
	defer listener.Close()
	if m.commands() == nil {
		return
	}
	answered := make(chan error, 1)
	go func() {
		conn, err := listener.Accept()
		if err == nil {
			_, err = conn.Write([]byte("from outside"))
			err = errors.Join(err, conn.Close())
		}
		answered <- err
	}()
	m.prints(t, id, 1, "bash -c 'cat < /dev/tcp/127.0.0.1/"+strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)+"'", "from outside")
	must(t, "answer", <-answered)
}

func resizes(t *testing.T, m *machine) {
	d := m.Driver.(runtime.Resizer)
	id := m.running(t)
	before := m.status(t, id)
	const want = 160 << 20
	must(t, "resize", d.Resize(limited(t), 1, id, runtime.Resources{MemoryBytes: want}))
	must(t, "stop", m.Stop(limited(t), 1, id, grace))
	must(t, "start", m.Start(limited(t), 1, id))
	after := m.status(t, id)
	if after.Spec.Resources.MemoryBytes != want {
		t.Errorf("after resize and restart memory is %d, want %d", after.Spec.Resources.MemoryBytes, want)
	}
	stopped := runtime.Resources{MemoryBytes: 2 * want, StorageBytes: 96 << 20}
	must(t, "stop", m.Stop(limited(t), 1, id, grace))
	must(t, "resize what is stopped", d.Resize(limited(t), 1, id, stopped))
	m.inPhase(t, id, runtime.Stopped)
	if m.suite.Reopen != nil {
		m.Driver = m.suite.Reopen(t, m.Driver)
	}
	must(t, "start", m.Start(limited(t), 1, id))
	if got := m.status(t, id).Spec.Resources; got.MemoryBytes != stopped.MemoryBytes || got.StorageBytes != stopped.StorageBytes || got.PIDs != before.Spec.Resources.PIDs {
		t.Errorf("after a resize while stopped the resources are %+v", got)
	}
	if after.Spec.Resources.PIDs != before.Spec.Resources.PIDs {
		t.Errorf("resizing memory changed PIDs from %d to %d", before.Spec.Resources.PIDs, after.Spec.Resources.PIDs)
	}
}

// rebases checks that another image takes the place of what lay over the one
// before, and that the workspace outlives it.
func rebases(t *testing.T, m *machine, d runtime.Rebaser) {
	id := m.running(t)
	ctx := limited(t)
	if err := d.Rebase(ctx, 1, id, m.suite.Spec.Image); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("while it runs: %v", err)
	}
	commands := m.commands() != nil && len(m.suite.Users) > 0 // else they see another root
	if commands {
		m.prints(t, id, 1, "echo w > /workspace/kept; echo l > /var/tmp/layer; cat /workspace/kept", "w\n")
	}
	must(t, "stop", m.Stop(ctx, 1, id, grace))
	must(t, "rebase onto its own image", d.Rebase(ctx, 1, id, m.suite.Spec.Image))
	if commands {
		must(t, "start", m.Start(ctx, 1, id))
		m.prints(t, id, 1, "cat /var/tmp/layer", "l\n")
		must(t, "stop", m.Stop(ctx, 1, id, grace))
	}
	if err := d.Rebase(ctx, 1, id, "no-such-image"); m.suite.OtherImage != "" && !errors.Is(err, runtime.ErrNoImage) {
		t.Errorf("onto an image that is not here: %v", err)
	}
	if m.suite.OtherImage == "" {
		return
	}
	for range 2 {
		must(t, "rebase", d.Rebase(ctx, 1, id, m.suite.OtherImage))
	}
	if st := m.status(t, id); st.Spec.Image != m.suite.OtherImage {
		t.Errorf("it stands on %s", st.Spec.Image)
	}
	must(t, "rebase back", d.Rebase(ctx, 1, id, m.suite.Spec.Image))
	must(t, "start", m.Start(ctx, 1, id))
	if commands {
		m.prints(t, id, 1, "cat /workspace/kept; ls /var/tmp", "w\n")
	}
}

func opens(t *testing.T, m *machine, d runtime.Networker) {
	id := m.running(t)
	set := func(e, want runtime.Egress) {
		t.Helper()
		must(t, "set egress", d.SetEgress(limited(t), 1, id, e))
		if got := m.status(t, id).Spec.Egress; !got.Equal(want) {
			t.Errorf("egress is %+v, want %+v", got, want)
		}
	}
	rules := runtime.Egress{Allowed: true, Allow: []string{"192.0.2.0/24", "a.example", "*.a.example"}, Deny: []string{"b.a.example"}}
	for _, e := range []runtime.Egress{{Allowed: true}, {Allowed: true}, rules, rules, {}, {}, rules} {
		set(e, e)
	}
	set(runtime.Egress{Allowed: true, Deny: []string{"B.Example."}}, runtime.Egress{Allowed: true, Deny: []string{"b.example"}})
	before := m.status(t, id).Spec.Egress
	if err := d.SetEgress(limited(t), 1, id, runtime.Egress{Allow: []string{"foo bar"}}); !errors.Is(err, runtime.ErrInvalid) {
		t.Errorf("a rule that is none: %v", err)
	}
	set(before, before)
	must(t, "stop", m.Stop(limited(t), 1, id, grace))
	set(rules, rules)
	must(t, "start", m.Start(limited(t), 1, id))
	if got := m.status(t, id).Spec.Egress; !got.Equal(rules) {
		t.Errorf("after a start egress is %+v", got)
	}
}

func meters(t *testing.T, m *machine, d runtime.Meterer) {
	id := m.running(t)
	var last runtime.Usage
	look := func(after string) {
		t.Helper()
		now, err := d.Usage(limited(t), id)
		must(t, "usage", err)
		if now.CPU < last.CPU || now.MemoryTime < last.MemoryTime || now.StorageTime < last.StorageTime || now.EgressBytes < last.EgressBytes {
			t.Errorf("after %s usage went back from %+v to %+v", after, last, now)
		}
		last = now
	}
	look("start")
	if m.commands() != nil {
		m.prints(t, id, 1, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo $i", "20000\n")
		look("a command")
	}
	must(t, "stop", m.Stop(limited(t), 1, id, grace))
	look("stop")
	must(t, "start", m.Start(limited(t), 1, id))
	look("a second start")
}

func sizes(t *testing.T, m *machine, d runtime.Sizer) {
	room, err := d.Capacity(limited(t))
	must(t, "capacity", err)
	if room.MemoryFree > room.MemoryBytes || room.StorageFree > room.StorageBytes || room.MemoryFree < 0 || room.StorageFree < 0 {
		t.Errorf("more is free than there is: %+v", room)
	}
	if !slices.Contains(room.Images, m.suite.Spec.Image) {
		t.Errorf("images are %v, without %s, which computers start from", room.Images, m.suite.Spec.Image)
	}
}

func keepsWorkspace(t *testing.T, m *machine, d runtime.Workspacer) {
	id := m.created(t)
	root, err := d.Workspace(limited(t), 1, id)
	must(t, "workspace of what never started", err)
	must(t, "write", os.WriteFile(root.Path+"/from-outside", []byte("out"), 0o644))
	must(t, "own", os.Chown(root.Path+"/from-outside", root.UID, root.GID))
	must(t, "start", m.Start(limited(t), 1, id))
	if m.commands() != nil {
		m.prints(t, id, 1, "cat from-outside; echo in > from-inside", "out")
		text, err := os.ReadFile(root.Path + "/from-inside")
		if err != nil || string(text) != "in\n" {
			t.Errorf("what the computer wrote is %q, %v", text, err)
		}
	}
	must(t, "stop", m.Stop(limited(t), 1, id, grace))
	again, err := d.Workspace(limited(t), 1, id)
	must(t, "workspace of what stopped", err)
	if again != root {
		t.Errorf("the workspace moved from %+v to %+v", root, again)
	}
	if text, err := os.ReadFile(again.Path + "/from-outside"); err != nil || string(text) != "out" {
		t.Errorf("after a stop the file is %q, %v", text, err)
	}
}
