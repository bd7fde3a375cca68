package runtimetest

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// wayTo leads to a driver's inbox.
type wayTo struct{ *httptest.Server }

func (w wayTo) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", w.Listener.Addr().String()
	return w.Client().Transport.RoundTrip(out)
}

// sends sends a computer as it is now.
func (m *machine) sends(t *testing.T, id runtime.ID, name, base string, way http.RoundTripper) runtime.Saved {
	t.Helper()
	source := m.snapshot(t, id, name)
	made, err := m.Driver.(runtime.Mover).SendSnapshot(limited(t), source, base, way)
	must(t, "send", err)
	must(t, "drop the snapshot", m.Driver.(runtime.Snapshotter).DropSnapshot(limited(t), source))
	return made
}

// moves shows that a disk goes on at another machine as it was sent, and that what
// was sent is nothing else.
func moves(t *testing.T, m *machine, d runtime.Mover) {
	other := m.beside(t)
	to := other.Driver.(runtime.Mover)
	server := httptest.NewServer(to.Inbox())
	defer server.Close()
	id := m.running(t)
	m.write(t, id, "kept", "always")
	m.write(t, id, "file", "first")
	m.sends(t, id, "s1", "", wayTo{server})
	m.write(t, id, "file", "second")
	made := m.sends(t, id, "s2", "s1", wayTo{server})
	if made.Computer != id || made.Name != "s2" || made.Image == "" || made.MadeAt.IsZero() {
		t.Errorf("sent: %+v", made)
	}
	must(t, "remove", m.Remove(limited(t), 1, id))

	spec := other.suite.Spec
	spec.ID, spec.Sent = id, runtime.Save{Computer: id, Name: "none"}
	if err := other.Create(limited(t), 1, spec); !errors.Is(err, runtime.ErrNoSave) {
		t.Errorf("create from what was not sent: %v", err)
	}
	spec.Sent = made.Save
	for range 2 {
		must(t, "create from what was sent", other.Create(limited(t), 1, spec))
	}
	other.removeAfter(t, id)
	if st := other.status(t, id); st.Fresh || st.Bared || st.Spec.Sent != made.Save {
		t.Errorf("made of what was sent it is %+v", st)
	}
	n := 0
	count := func(of runtime.ID, _ time.Time) error {
		if of == id {
			n++
		}
		return nil
	}
	must(t, "list", to.SentComputers(limited(t), count))
	for range 2 {
		must(t, "forget", to.ForgetSent(limited(t), id, time.Now()))
	}
	must(t, "list", to.SentComputers(limited(t), count))
	if n != 1 {
		t.Errorf("it was in the inbox %d times of two", n)
	}
	other.reads(t, id, "file", "second")
	other.reads(t, id, "kept", "always")
	must(t, "start", other.Start(limited(t), 1, id))

	called, cancel := context.WithCancel(limited(t))
	cancel()
	lost := m.snapshot(t, m.created(t), "s")
	if _, err := d.SendSnapshot(called, lost, "", wayTo{server}); err == nil {
		t.Error("sent in no time")
	}
	server.Close()
	if _, err := d.SendSnapshot(limited(t), lost, "", wayTo{server}); !errors.Is(err, runtime.ErrNoInbox) {
		t.Errorf("sent to nobody: %v", err)
	}
}
