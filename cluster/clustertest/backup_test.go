package clustertest

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/backup"
	"github.com/bothy-computer/bothy/cluster/state"
)

// TestAClusterIsRebuiltFromItsBackup takes a backup of a cluster that is being
// written to, ends all its nodes for ever, and goes on from the file alone.
func TestAClusterIsRebuiltFromItsBackup(t *testing.T) {
	c := New(t, 3, Options{})
	c.Voters(0, 3)
	key, recipient, err := backup.NewKey()
	must(t, err)
	for _, name := range []string{"saved", "unsaved"} {
		id := startRun(t, c.Node(0), name)
		c.Eventually("it has an owner", func() bool { return computerOn(t, c.Node(0), id).Node != "" })
		owner := c.Node(c.index(computerOn(t, c.Node(0), id).Node))
		apply := func(cmd state.Command) {
			t.Helper()
			_, err := owner.Apply(within(t, Patience), cmd)
			must(t, err)
		}
		apply(state.SetPhase{Computer: id, Epoch: 1, Phase: state.Running, HasData: true})
		if name == "saved" {
			apply(state.SaveDisk{Computer: id, Epoch: 1, Save: state.Save{Name: "one", Store: "bucket"}})
		}
	}
	_, err = c.Node(0).Apply(within(t, Patience), state.CreateKey{Key: state.Key{ID: "key_admin", Account: Account, User: "user_first", Hash: "admin", Admin: true}})
	must(t, err)
	c.entrust(1, "TOKEN", "of great value")

	stop := make(chan struct{})
	var writers sync.WaitGroup
	for w := range 3 {
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					_ = newAgent(within(t, Patience), c.Node(w), fmt.Sprintf("agent_%d_%d", w, i))
				}
			}
		})
	}
	must(t, newAgent(within(t, Patience), c.Node(0), "agent_before"))
	to := []string{recipient}
	var file bytes.Buffer
	must(t, c.Node(2).Backup(within(t, Patience), to, &file))
	close(stop)
	writers.Wait()
	for i := range 3 {
		c.Kill(i)
	}

	dir := filepath.Join(t.TempDir(), "1-reborn")
	rebuilding := cluster.Rebuilding{Dir: dir, Name: "reborn", Now: time.Now(),
		Key: state.Key{ID: "key_restored", Hash: "restored"}}
	refusals(t, file.Bytes(), key, rebuilding)
	done, err := cluster.Rebuild(bytes.NewReader(file.Bytes()), strings.NewReader(key), rebuilding)
	must(t, err)
	if done.Computers != 2 || done.Saved != 1 || done.Unsaved != 1 {
		t.Fatalf("%+v", done)
	}
	reborn := &Nodes{t: t, dir: filepath.Dir(dir), Links: c.Links}
	t.Cleanup(reborn.closeAll)
	n := &Node{Name: "reborn", Dir: dir}
	must(t, reborn.open(n, nil))
	reborn.nodes = append(reborn.nodes, n)
	reborn.WaitReady(0)
	v, err := reborn.Node(0).Read(within(t, Patience))
	must(t, err)
	taken, err := v.Audit(state.AuditQuery{Action: state.BackupTake, Limit: 9})
	v.Close()
	if must(t, err); len(taken.Records) != 1 || taken.Records[0].Node != c.Node(2).ID {
		t.Errorf("the backup's own record in it: %+v", taken.Records)
	}
	goesOn(t, reborn)
	// What goes on can be lost and rebuilt as well.
	file.Reset()
	must(t, n.Backup(within(t, Patience), to, &file))
	rebuilding.Dir += "-again"
	rebuilding.Key.ID, rebuilding.Key.Hash = "key_again", "again"
	_, err = cluster.Rebuild(&file, strings.NewReader(key), rebuilding)
	must(t, err)
}

// refusals are files, keys and directories that nothing may be made of.
func refusals(t *testing.T, file []byte, key string, r cluster.Rebuilding) {
	t.Helper()
	other, _, err := backup.NewKey()
	must(t, err)
	damaged := bytes.Clone(file)
	damaged[len(damaged)/2] ^= 1
	for name, one := range map[string]struct {
		file []byte
		key  string
		word string
	}{
		"another key":    {file, other, "other keys"},
		"no key":         {file, "hello", "backup key"},
		"cut short":      {file[:len(file)-100], key, ""},
		"cut at a block": {file[:len(file)/65536*65536], key, ""},
		"damaged":        {damaged, key, ""},
		"no backup":      {[]byte("hello"), key, ""},
	} {
		_, err := cluster.Rebuild(bytes.NewReader(one.file), strings.NewReader(one.key), r)
		if err == nil || !strings.Contains(err.Error(), one.word) {
			t.Errorf("%s: %v", name, err)
		}
		left, _ := filepath.Glob(filepath.Join(filepath.Dir(r.Dir), "*"))
		if len(left) > 0 {
			t.Errorf("%s left %v", name, left)
		}
	}
	r.Dir = t.TempDir()
	must(t, (func() error { _, err := cluster.Rebuild(bytes.NewReader(file), strings.NewReader(key), r); return err })())
	if _, err := cluster.Rebuild(bytes.NewReader(file), strings.NewReader(key), r); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("a directory that is in use: %v", err)
	}
}

// goesOn checks what a rebuilt cluster has, and that it grows again.
func goesOn(t *testing.T, c *Nodes) {
	t.Helper()
	n := c.Node(0)
	v, err := n.Read(within(t, Patience))
	must(t, err)
	if _, err := v.Agent(Account, "agent_before"); err != nil {
		t.Fatalf("what was acknowledged before the backup: %v", err)
	}
	nodes, err := v.Nodes()
	must(t, err)
	if len(nodes) != 1 || nodes[0].Name != "reborn" {
		t.Fatalf("the nodes are %+v", nodes)
	}
	if k, ok, err := v.KeyByHash("restored"); err != nil || !ok || !k.Admin || k.User != "user_first" {
		t.Fatalf("the key of whoever restored: %+v, %v, %v", k, ok, err)
	}
	for _, id := range []state.RunID{"run_saved", "run_unsaved"} {
		if r, _, err := v.AnyRun(id); err != nil || r.Status != state.RunCancelled {
			t.Fatalf("run %s is %s: %v", id, r.Status, err)
		}
	}
	v.Close()
	c.opens(0, "TOKEN", "of great value")
	_, err = n.Apply(within(t, Patience), state.ReachStore{Node: n.ID, Store: "bucket"})
	must(t, err)
	if p, err := n.Place(within(t, Patience), "comp-saved"); err != nil || p.Node != n.ID || p.Epoch < 2 {
		t.Fatalf("the saved computer: %+v, %v", p, err)
	}
	if lost := computerOn(t, n, "comp-unsaved"); lost.Phase != state.Failed || !strings.Contains(lost.Error, "lost with node") {
		t.Fatalf("the computer that was never saved: %+v", lost)
	}
	c.Add()
	c.Add()
	c.Voters(0, 3)
	must(t, newAgent(within(t, Patience), c.Node(2), "agent_after"))
	c.opens(1, "TOKEN", "of great value")
}
