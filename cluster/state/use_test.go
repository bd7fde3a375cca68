package state

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// used is a use of the fixture's computer, some times.
func used(action string, count int) Use {
	return Use{Action: action, Account: acct, Resource: Resource{"computer", string(comp)}, Computer: comp, By: anna, Count: count}
}

func TestUsesAreAudited(t *testing.T) {
	f := newFixture(t)
	start := f.now.Add(time.Second)
	f.pass(time.Minute)
	u := used(FileRead, 3)
	u.Detail, u.Age, u.By.Trace = "/workspace/a", 40*time.Second, "00-trace"
	f.ok(n2, RecordUses{Uses: []Use{u, used(ExecRun, 1), {Action: SSHLogin, Account: acct, Resource: Resource{"sshkey", "sshkey_1"}, Computer: comp,
		By: Cause{}, Count: 1, Age: -time.Hour}}})
	f.do(AddCredit{Account: acct, Charge: "rec_1", Amount: 1})
	want := []string{"file.read computer/comp_a comp_a /workspace/a", "exec.run computer/comp_a comp_a", "ssh.login sshkey/sshkey_1 comp_a",
		"budget.credit budget/acct_a  $0.000001"}
	if all := f.trail(AuditQuery{Account: ptr(acct), Since: start}); !slices.Equal(all, want) {
		t.Errorf("audited:\n%s\nwant:\n%s", strings.Join(all, "\n"), strings.Join(want, "\n"))
	}
	found := got(f, func(v *View) (AuditPage, error) {
		return v.Audit(AuditQuery{Resource: string(comp), Action: FileRead, Limit: 9})
	}).Records
	by := anna
	if len(found) != 1 || found[0].Count != 3 || found[0].At.Sub(found[0].Since) != u.Age || found[0].By != by || found[0].Node != n2 {
		t.Errorf("%+v", found)
	}
	for name, tt := range map[string]struct {
		q    AuditQuery
		want int
	}{
		"SSH logins":    {AuditQuery{Action: "ssh."}, 1},
		"by an SSH key": {AuditQuery{Actor: "sshkey_1"}, 1},
		"by a key":      {AuditQuery{Actor: "key_a"}, 2},
		"by the node":   {AuditQuery{Actor: string(n2)}, 0},
		"uses":          {AuditQuery{Class: AuditUse}, 3},
		"changes":       {AuditQuery{Class: AuditChange}, 1},
	} {
		tt.q.Since = start
		if n := len(f.trail(tt.q)); n != tt.want {
			t.Errorf("%s: %d records; want %d", name, n, tt.want)
		}
	}
	f.check()
}

func TestUsesAreBounded(t *testing.T) {
	f := newFixture(t)
	for name, uses := range map[string][]Use{
		"too many":        make([]Use, MaxUses+1),
		"never done":      {used(ExecRun, 1), used(ExecRun, 0)},
		"nobody knows of": {used("", 1)},
	} {
		f.refused(n1, RecordUses{Uses: uses}, fault.Invalid, "")
		if all := f.trail(AuditQuery{Action: "exec."}); len(all) != 0 {
			t.Errorf("%s: %q", name, all)
		}
	}
}

// However often somebody uses something, what was changed stays in the log.
func TestUsesPushOutNoChange(t *testing.T) {
	f := newFixture(t)
	f.do(AddCredit{Account: acct, Charge: "rec_1", Amount: 1})
	changes := f.trail(AuditQuery{Account: ptr(acct)})
	// The counter stands in for the records that it counts.
	f.store.Set(audits.countKey("uses", []string{string(acct)}), encodeUint(MaxAuditUses-2))
	for i := range 5 {
		u := used(ExecRun, 1)
		u.Detail = fmt.Sprint(i)
		f.ok(n1, RecordUses{Uses: []Use{u}})
	}
	want := append(changes, "exec.run computer/comp_a comp_a 3", "exec.run computer/comp_a comp_a 4")
	if all := f.trail(AuditQuery{Account: ptr(acct)}); !slices.Equal(all, want) {
		t.Errorf("%q; want %q", all, want)
	}
	// Taking all records counts among changes.
	f.ok(n1, RecordUses{Uses: []Use{{Action: BackupTake, Resource: Resource{"backup", ""}, By: anna, Count: 1}}})
	n := got(f, func(v *View) (int, error) { return audits.count(v.r, "uses", "") })
	if all := f.trail(AuditQuery{Account: ptr(AccountID("")), Action: "backup."}); n != 0 || len(all) != 1 {
		t.Errorf("%q, %d among uses", all, n)
	}
}

// What older builds do not say is not said until all are newer: replicas are equal.
func TestOlderClustersSayLess(t *testing.T) {
	for version, want := range map[int]AuditRecord{
		usesVersion - 1: {Class: AuditOld},
		usesVersion:     {Class: AuditChange, Detail: "name-n3, by force: it owned 1 computers"},
	} {
		f := newFixture(t)
		b, err := Encode(Cluster{ID: "c1", Version: version})
		if err != nil {
			t.Fatal(err)
		}
		f.store.Set(keyCluster, b)
		f.claim(comp, n3)
		f.do(ExpireLease{Node: n3, Renewal: f.node(n3).Renewal})
		f.do(RemoveNode{Node: n3, Abandon: true})
		found := got(f, func(v *View) (AuditPage, error) { return v.Audit(AuditQuery{Action: "node.remove", Limit: 9}) }).Records
		if len(found) != 1 || found[0].Class != want.Class || found[0].Detail != want.Detail {
			t.Errorf("version %d: %+v; want %+v", version, found, want)
		}
		f.check()
	}
	made := computerMade(Computer{ID: comp, Name: "box", Source: "snap_1"})
	if old, now := made.said(usesVersion-1), made.said(usesVersion); old != "box" || now != "box; from snapshot snap_1" {
		t.Errorf("a computer made from a snapshot: %q, now %q", old, now)
	}
}
