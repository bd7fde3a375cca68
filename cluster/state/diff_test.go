package state

import (
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

func TestDiffs(t *testing.T) {
	f := newFixture(t)
	epoch := f.claim(comp, n1)
	f.startRun("thread_1", "run_1", 10)
	record := RecordDiff{Epoch: epoch, Diff: Diff{Run: "run_1", Thread: "forged", Account: other,
		Files: []FileDiff{{Path: "a.py", Change: "created", Unified: "+x\n", Additions: 1}}}}
	with := func(change func(*RecordDiff)) RecordDiff {
		cmd := record
		change(&cmd)
		return cmd
	}
	for name, tt := range map[string]struct {
		cmd  RecordDiff
		kind fault.Kind
	}{
		"no such run":    {with(func(c *RecordDiff) { c.Diff.Run = "none" }), fault.NotFound},
		"an old epoch":   {with(func(c *RecordDiff) { c.Epoch-- }), fault.Moved},
		"too many files": {with(func(c *RecordDiff) { c.Diff.Files = make([]FileDiff, MaxDiffFiles+1) }), fault.TooLarge},
		"too many bytes": {with(func(c *RecordDiff) { c.Diff.Files = []FileDiff{{Unified: strings.Repeat("x", MaxDiffBytes+1)}} }), fault.TooLarge},
	} {
		t.Run(name, func(t *testing.T) { f.tb = t; f.refused(n1, tt.cmd, tt.kind, "") })
	}
	f.tb = t
	f.ok(n1, record)
	f.ok(n1, record) // an unclear answer, sent again
	list, err := f.view().Diffs(acct, "thread_1", Page{Limit: 10})
	if err != nil || list.Total != 1 || list.Items[0].Thread != "thread_1" || list.Items[0].Account != acct {
		t.Fatalf("%+v, %v", list, err)
	}
	if _, ok, err := f.view().RunDiff(other, "run_1"); ok || err != nil {
		t.Fatalf("another account sees it: %v", err)
	}
	if d, ok, err := f.view().RunDiff(acct, "run_1"); !ok || err != nil || d.Files[0].Path != "a.py" {
		t.Fatalf("%+v, %v, %v", d, ok, err)
	}
	f.ok(n1, Append{Thread: "thread_1", Run: "run_1", Epoch: epoch, FirstSeq: 1, Finish: &Finish{Status: RunSuccess}})
	f.refused(n1, record, fault.Moved, "")
	f.ok(n1, DeleteThread{Account: acct, Thread: "thread_1"})
	f.pass(PruneAfter + time.Second)
	f.ok(n1, Sweep{})
	if _, ok, err := diffs.find(f.view().r, "run_1"); ok || err != nil {
		t.Fatalf("it outlives its thread: %v", err)
	}
	f.check()
}
