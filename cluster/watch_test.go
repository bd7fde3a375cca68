package cluster

import (
	"fmt"
	"testing"

	"github.com/bothy-computer/bothy/cluster/state"
)

func TestWatcherGathersAndOverflows(t *testing.T) {
	c := &Cluster{hub: newHub()}
	w := c.WatchRecord(state.ChangedThread, "t")
	all := c.Watch(func(state.Change) bool { return true })
	defer all.Close()
	for range 5 {
		c.hub.publish([]state.Change{{Noun: state.ChangedThread, ID: "t"}, {Noun: state.ChangedThread, ID: "other"}})
	}
	c.hub.deliver()
	<-w.Wake()
	if got, missed := w.Take(); len(got) != 1 || got[0].ID != "t" || missed {
		t.Fatalf("took %v, missed %v", got, missed)
	}
	for i := range maxPendingChanges + 10 {
		c.hub.publish([]state.Change{{Noun: state.ChangedRun, ID: fmt.Sprint(i)}})
	}
	c.hub.deliver()
	if got, missed := all.Take(); !missed || len(got) > maxPendingChanges {
		t.Fatalf("took %d, missed %v", len(got), missed)
	}
	c.hub.lost()
	c.hub.deliver()
	if _, missed := w.Take(); !missed {
		t.Fatal("a skipped change goes unnoticed")
	}
	w.Close()
	if len(c.hub.keyed) != 0 {
		t.Fatal("a closed watcher is kept")
	}
}
