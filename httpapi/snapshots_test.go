package httpapi_test

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/doortest"
)

// snapshotAsked is a reply about a snapshot.
type snapshotAsked struct {
	asked
	Snapshot struct {
		ID           string `json:"id"`
		State        string `json:"state"`
		ComputerID   string `json:"computer_id"`
		DurableState string `json:"durable_state"`
		Durable      string `json:"durable_failure_reason"`
		LocalAt      string `json:"local_ready_at"`
	} `json:"snapshot"`
}

func TestSnapshotsAreTakenAndRestored(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	_, rival := h.NewAccount("rival", 10_000_000)
	box := c.running(`{"handle":"box","size_preset":"ram-4g"}`)
	write := func(text string) {
		c.do("POST", "/v1/computers/box/files/ops", `{"operation":"write_text","path":"note","content":"`+text+`"}`).is(200)
	}
	write("before")
	var s snapshotAsked
	c.do("POST", "/v1/computers/box/snapshots", nil).is(202).into(&s)
	if s.Snapshot.ComputerID != box.Computer.ID || s.Operation == nil {
		t.Fatalf("%+v", s)
	}
	if why := c.ended(s.asked); why != "" {
		t.Fatal(why)
	}
	write("after")
	path := "/v1/snapshots/" + s.Snapshot.ID
	c.do("GET", path, nil).is(200).into(&s)
	if s.Snapshot.State != "ready" || s.Snapshot.LocalAt == "" || s.Snapshot.DurableState != "failed" || s.Snapshot.Durable == "" {
		t.Fatalf("%+v", s.Snapshot)
	}
	as(t, h, rival).do("GET", path, nil).fails(404, "not_found", "Snapshot not found")
	as(t, h, rival).do("POST", path+"/restore", `{}`).fails(404, "not_found", "Snapshot not found")
	c.do("POST", path+"/restore", `{"size_preset":"ram-2g"}`).fails(400, "invalid_request", "storage")
	for name, how := range map[string]struct{ path, body string }{
		"restored": {path + "/restore", `{"handle":"restored"}`},
		"created":  {"/v1/computers", `{"handle":"created","source":{"kind":"snapshot","snapshot_id":"` + s.Snapshot.ID + `"}}`},
	} {
		var again asked
		c.do("POST", how.path, how.body).is(202).into(&again)
		if why := c.ended(again); why != "" || again.Computer.SizePreset != "ram-4g" {
			t.Fatalf("%q, %+v", why, again.Computer)
		}
		var file struct{ Content string }
		c.do("POST", "/v1/computers/"+name+"/files/ops", `{"operation":"read_text","path":"note"}`).is(200).into(&file)
		if file.Content != "before" {
			t.Fatalf("%s has %q", name, file.Content)
		}
	}
	// With a store the next one is put there, and the computer too.
	h.Driver.World().SetStore("bucket")
	var m struct {
		Computer struct {
			SavedAt    string `json:"saved_at"`
			SavedWhole bool   `json:"saved_whole"`
		} `json:"computer"`
	}
	c.do("POST", "/v1/computers/box/actions/save", nil).is(200).into(&m)
	if m.Computer.SavedAt == "" || m.Computer.SavedWhole {
		t.Fatalf("%+v", m.Computer)
	}
	var durable snapshotAsked
	c.do("POST", "/v1/computers/box/snapshots", nil).is(202).into(&durable)
	if why := c.ended(durable.asked); why != "" {
		t.Fatal(why)
	}
	for deadline := time.Now().Add(patience); durable.Snapshot.DurableState != "ready"; time.Sleep(5 * time.Millisecond) {
		if c.do("GET", "/v1/snapshots/"+durable.Snapshot.ID, nil).is(200).into(&durable); time.Now().After(deadline) {
			t.Fatalf("%+v", durable.Snapshot)
		}
	}
	c.do("DELETE", "/v1/snapshots/"+durable.Snapshot.ID, nil).is(202)
	// A stopped computer is kept without being started.
	var step asked
	c.do("POST", "/v1/computers/box/actions/stop", nil).is(202).into(&step)
	c.ended(step)
	var second snapshotAsked
	c.do("POST", "/v1/computers/box/snapshots", nil).is(202).into(&second)
	if why := c.ended(second.asked); why != "" {
		t.Fatal(why)
	}
	var list struct{ Snapshots []struct{ ID string } }
	if c.do("GET", "/v1/computers/box/snapshots", nil).is(200).into(&list); len(list.Snapshots) != 2 || list.Snapshots[0].ID != second.Snapshot.ID {
		t.Fatalf("%+v", list)
	}
	c.do("DELETE", path, nil).is(202).into(&s)
	if why := c.ended(s.asked); why != "" {
		t.Fatal(why)
	}
	c.do("GET", path, nil).fails(404, "not_found", "")
	c.do("POST", "/v1/computers", `{"source":{"kind":"snapshot","snapshot_id":"../x"}}`).fails(400, "invalid_request", "source.snapshot_id")
}
