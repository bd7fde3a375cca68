package actors

import (
	"testing"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

func TestEveryWishAndFactHasAnAction(t *testing.T) {
	for _, wish := range wishes() {
		for _, fact := range facts() {
			if next(wish, fact) == "" {
				t.Errorf("wish %s, fact %s: no action", wish, fact)
			}
		}
		if n := len(table[wish]); n != len(facts()) {
			t.Errorf("wish %s: %d facts in the table, want %d", wish, n, len(facts()))
		}
	}
	if len(table) != len(wishes()) {
		t.Errorf("%d wishes in the table, want %d", len(table), len(wishes()))
	}
}

// after is what a driver reports once an action is done.
var after = map[action]map[runtime.Phase]runtime.Phase{
	create: {absent: runtime.Created},
	start:  {runtime.Created: runtime.Running, runtime.Stopped: runtime.Running},
	thaw:   {runtime.Frozen: runtime.Running},
	stop:   {runtime.Running: runtime.Stopped, runtime.Frozen: runtime.Stopped},
	remove: {runtime.Created: absent, runtime.Running: absent, runtime.Frozen: absent, runtime.Stopped: absent},
}

func TestActionsReachEveryWishAndRest(t *testing.T) {
	rest := map[state.Wish][]runtime.Phase{
		state.WishRunning: {runtime.Running},
		state.WishStopped: {runtime.Stopped, runtime.Created, absent},
		state.WishDeleted: {absent},
	}
	for _, wish := range wishes() {
		for _, fact := range facts() {
			at := fact
			for range len(facts()) {
				what := next(wish, at)
				if what == nothing || what == forget {
					break
				}
				to, ok := after[what][at]
				if !ok {
					t.Fatalf("wish %s: %s does not apply to a computer that is %s", wish, what, at)
				}
				at = to
			}
			ok := false
			for _, r := range rest[wish] {
				ok = ok || r == at
			}
			if !ok {
				t.Errorf("wish %s from %s comes to rest as %s", wish, fact, at)
			}
		}
	}
}

func TestWhatIsAskedBesidesAWish(t *testing.T) {
	all := asked{snapshots: true, egress: true}
	sized := state.Computer{Resize: &state.Size{}}
	for _, tt := range []struct {
		what action
		fact runtime.Phase
		c    state.Computer
		a    asked
		want action
	}{
		{nothing, runtime.Running, sized, all, egress},
		{nothing, runtime.Running, sized, asked{snapshots: true}, snap},
		{nothing, runtime.Running, sized, asked{}, resize},
		{nothing, runtime.Stopped, state.Computer{}, asked{egress: true}, nothing},
		{start, runtime.Stopped, state.Computer{}, all, snap},
		{start, runtime.Stopped, state.Computer{}, asked{egress: true}, start},
		{thaw, runtime.Frozen, sized, all, thaw},
		{stop, runtime.Running, sized, all, stop},
		{nothing, absent, state.Computer{}, all, nothing},
	} {
		if got := besides(tt.what, tt.fact, tt.c, tt.a); got != tt.want {
			t.Errorf("%s of what is %s, asked %+v: %s, want %s", tt.what, tt.fact, tt.a, got, tt.want)
		}
	}
}

func TestJudgeOfWhatTheMachineHolds(t *testing.T) {
	tests := map[string]struct {
		computer state.Computer
		known    bool
		want     claim
	}{
		"its own":                    {state.Computer{Node: "me", Phase: state.Running}, true, keep},
		"its own, to be deleted":     {state.Computer{Node: "me", Phase: state.Deleting}, true, keep},
		"another's":                  {state.Computer{Node: "you", Phase: state.Running}, true, leave},
		"deleted":                    {state.Computer{Node: "me", Phase: state.Deleted}, true, discard},
		"deleted while another's":    {state.Computer{Node: "you", Phase: state.Deleted}, true, discard},
		"without a record":           {state.Computer{}, false, wait},
		"nobody's, as after a reset": {state.Computer{Phase: state.Provisioning}, true, leave},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if got := judge("me", tt.computer, tt.known); got != tt.want {
				t.Fatalf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestWhatADiskIsToTheNewest(t *testing.T) {
	const self, elsewhere = state.NodeID("self"), state.NodeID("elsewhere")
	saved := func(data state.NodeID, epoch state.Epoch) state.Computer {
		return state.Computer{ID: "c", DataNode: data, Epoch: 9, Saved: state.Save{Name: "s", Epoch: epoch}}
	}
	sent := func(data state.NodeID, saved string) state.Computer {
		return state.Computer{ID: "c", DataNode: data, Epoch: 9, Saved: state.Save{Name: saved, Epoch: 3}, Sent: state.Sent{Name: "t", Node: self, Epoch: 8}}
	}
	unpacked := func(name string, phase runtime.Phase) runtime.Status {
		return runtime.Status{Epoch: 9, Phase: phase, Spec: runtime.Spec{Sent: runtime.Save{Computer: "c", Name: name}}}
	}
	made := func(name string, phase runtime.Phase) runtime.Status {
		return runtime.Status{Epoch: 9, Phase: phase, Spec: runtime.Spec{Saved: runtime.Save{Computer: "c", Name: name}}}
	}
	of := func(epoch runtime.Epoch) runtime.Status { return runtime.Status{Epoch: epoch, Phase: runtime.Stopped} }
	for name, tt := range map[string]struct {
		c    state.Computer
		s    runtime.Status
		want newness
	}{
		"nothing is here":                        {saved(elsewhere, 5), runtime.Status{Phase: absent}, newestDisk},
		"it was never saved":                     {state.Computer{ID: "c", DataNode: elsewhere}, of(3), newestDisk},
		"it is here":                             {saved(self, 9), of(5), newestDisk},
		"it was saved since it left":             {saved(elsewhere, 6), of(5), olderDisk},
		"it was saved before it left":            {saved(elsewhere, 5), of(5), newestDisk},
		"its user took a save of later":          {saved("", 6), of(5), olderDisk},
		"its user took a save, and it came back": {saved("", 5), of(5), newestDisk},
		"made from the save":                     {saved(elsewhere, 6), made("s", runtime.Created), restoredDisk},
		"made from it, for its user":             {saved("", 6), made("s", runtime.Created), restoredDisk},
		"made from a save before":                {saved(elsewhere, 9), made("r", runtime.Created), newestDisk},
		"made from a save long before":           {saved(elsewhere, 10), made("r", runtime.Created), olderDisk},
		"made from it, and recorded":             {saved(self, 6), made("s", runtime.Created), newestDisk},
		"made from it long ago, and used since":  {saved(elsewhere, 6), made("s", runtime.Stopped), newestDisk},
		"it was sent, and is not here yet":       {sent(elsewhere, ""), runtime.Status{Phase: absent}, newestDisk},
		"it was sent, and an older one is here":  {sent(elsewhere, ""), of(5), olderDisk},
		"it was sent, after it was saved":        {sent(elsewhere, "s"), of(5), olderDisk},
		"made from what was sent":                {sent(elsewhere, ""), unpacked("t", runtime.Created), restoredDisk},
		"made from what was sent before":         {state.Computer{ID: "c", DataNode: self, Epoch: 9}, unpacked("t", runtime.Created), newestDisk},
	} {
		if got := newnessOf(tt.c, self, tt.s.Phase, tt.s); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}

func TestNothingIsDoneWithADiskThatIsNotTheNewest(t *testing.T) {
	for _, wish := range wishes() {
		for _, fact := range facts() {
			for _, n := range newnesses() {
				what := next(wish, fact)
				want := map[newness]action{newestDisk: what, restoredDisk: adopt, olderDisk: setAside}[n]
				if wish == state.WishDeleted {
					want = what
				}
				if got := first(what, wish, n); got != want {
					t.Errorf("wish %s, fact %s, %s disk: %s, want %s", wish, fact, n, got, want)
				}
			}
		}
	}
}
