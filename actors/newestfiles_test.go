package actors

import (
	"testing"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// takenOver is a stopped computer whose newest files are at a node that is away, the
// first, and that the second took over and did not start.
func takenOver(t *testing.T) ([]*house, state.Computer) {
	houses, _ := fleet(t)
	one, two := houses[0], houses[1]
	c := one.running(t)
	one.files(t, c.ID, text("f", "newest"))
	if _, err := one.Computers.Stop(t.Context(), one.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	if err := one.node.Expire(two.node); err != nil {
		t.Fatal(err)
	}
	if _, err := two.node.Apply(t.Context(), state.Claim{Computer: c.ID, Node: two.node.Self(), Seen: c.Epoch}); err != nil {
		t.Fatal(err)
	}
	return houses, c
}

// TestAComputerGoesBackToItsNewestFiles: the node with the newest data was away when
// another one took the computer over, which started nothing, and is back.
func TestAComputerGoesBackToItsNewestFiles(t *testing.T) {
	houses, c := takenOver(t)
	one, two := houses[0], houses[1]
	if err := one.node.Return(); err != nil {
		t.Fatal(err)
	}
	got, err := houses[2].Computers.Files(t.Context(), houses[2].caller, c.ID, FileOp{Verb: workspace.ReadText, Path: "f"})
	if err != nil || got.Content == nil || *got.Content != "newest" {
		t.Fatalf("%+v, %v", got, err)
	}
	if p, err := two.node.Place(t.Context(), c.ID); err != nil || p.Node != one.node.Self() {
		t.Fatalf("%+v, %v", p, err)
	}
}

// TestOldFilesAreNotTakenForTheNewest: the owner is another node than the one
// with the newest data, as after a takeover that started nothing yet.
func TestOldFilesAreNotTakenForTheNewest(t *testing.T) {
	houses, c := takenOver(t)
	two := houses[1]
	for _, h := range houses[1:] {
		for _, op := range []FileOp{{Verb: workspace.List}, text("f", "over it")} {
			_, err := h.Computers.Files(t.Context(), h.caller, c.ID, op)
			isFault(t, err, fault.Unavailable, state.CodeDataAway, "")
		}
	}
	if two.holds(t, runtime.ID(c.ID)) {
		t.Fatal("the refused write made a disk")
	}
	// Once it has started there, its files there are the newest, and say so.
	if _, err := two.Computers.Start(t.Context(), two.caller, c.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return two.computer(t, c.ID).DataNode == two.node.Self() })
	two.files(t, c.ID, text("f", "again"))
}
