package snapshot

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/blob"
)

// flaky leads to an inbox until so many more blobs were put.
type flaky struct {
	*httptest.Server
	after atomic.Int64
	puts  atomic.Int64
}

func (f *flaky) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut {
		if f.after.Add(-1) < 0 {
			return nil, errors.New("cut")
		}
		f.puts.Add(1)
	}
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", f.Listener.Addr().String()
	return f.Client().Transport.RoundTrip(out)
}

// newFar is the inbox of another machine, and a place whose saves go there.
func newFar(t *testing.T) (*Inbox, *flaky, *place) {
	t.Helper()
	inbox, err := OpenInbox(t.Context(), filepath.Join(t.TempDir(), "inbox"))
	if err != nil {
		t.Fatal(err)
	}
	way := &flaky{Server: httptest.NewServer(inbox)}
	t.Cleanup(way.Close)
	way.after.Store(1 << 30)
	p := newPlace(t)
	// One blob at a time, so that what came before a cut is known.
	if p.Saver, err = Open(t.Context(), Options{Store: blob.NewRemote(way), Uploads: 1}); err != nil {
		t.Fatal(err)
	}
	return inbox, way, p
}

// unpacked makes what was sent into a tree there.
func (p *place) unpacked(i *Inbox, name string) string {
	p.Helper()
	was := p.Saver
	defer func() { p.Saver = was }()
	p.Saver = i.Saver
	return p.restored(name)
}

// TestADiskThatIsCutOnItsWayGoesOn: nothing of it is a disk before all of it is
// there, and what was there is not sent again.
func TestADiskThatIsCutOnItsWayGoesOn(t *testing.T) {
	inbox, way, p := newFar(t)
	for i, name := range []string{"a", "b", "c", "d/e", "d/f"} {
		p.write(name, noise(uint64(i), chunkBytes))
	}
	way.after.Store(4)
	if _, err := p.trySave("s1", ""); !errors.Is(err, runtime.ErrNoInbox) {
		t.Fatalf("cut: %v", err)
	}
	if _, err := inbox.Manifest(t.Context(), saveOf("s1")); !errors.Is(err, runtime.ErrNoSave) {
		t.Fatalf("half of it is there: %v", err)
	}
	way.after.Store(1 << 30)
	p.saveAs("s1", "")
	if all := way.puts.Load(); all != 5+2 { // five pieces, their list and the manifest
		t.Errorf("%d blobs were sent", all)
	}
	equal(t, describe(t, p.unpacked(inbox, "s1"), p.ids), describe(t, p.tree, p.ids))
	way.puts.Store(0)
	p.write("b", noise(100, chunkBytes))
	if made := p.saveAs("s2", "s1"); made.Read > 2*chunkBytes || way.puts.Load() > 3 {
		t.Errorf("of one file that changed %d bytes were read and %d blobs sent", made.Read, way.puts.Load())
	}
	equal(t, describe(t, p.unpacked(inbox, "s2"), p.ids), describe(t, p.tree, p.ids))
}

func TestAnInboxKeepsRoom(t *testing.T) {
	inbox, _, p := newFar(t)
	p.write("a", noise(1, chunkBytes))
	var full atomic.Bool
	full.Store(true)
	inbox.free = func() (int64, error) {
		if full.Load() {
			return inboxReserveBytes + chunkBytes/2, nil
		}
		return inbox.diskFree()
	}
	if _, err := p.trySave("s1", ""); !errors.Is(err, runtime.ErrFull) {
		t.Fatalf("without room: %v", err)
	}
	full.Store(false)
	p.saveAs("s1", "")
	far := blob.NewRemote(p.straightTo(inbox))
	for _, key := range []string{storeKey, "other", computersDir + "c1", computersDir + "../x"} {
		if err := far.Put(t.Context(), key, []byte("x")); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("put %s: %v", key, err)
		}
	}
}

// straightTo leads straight to an inbox.
func (p *place) straightTo(i *Inbox) http.RoundTripper {
	server := httptest.NewServer(i)
	p.Cleanup(server.Close)
	f := &flaky{Server: server}
	f.after.Store(1 << 30)
	return f
}

// TestOnlyWhatIsOldIsForgotten: what came since stays.
func TestOnlyWhatIsOldIsForgotten(t *testing.T) {
	inbox, _, p := newFar(t)
	p.write("a", noise(1, chunkBytes))
	p.saveAs("s1", "")
	sent := func() (n int, last time.Time) {
		t.Helper()
		err := inbox.Sent(t.Context(), func(id runtime.ID, at time.Time) error { n, last = n+1, at; return nil })
		if err != nil {
			t.Fatal(err)
		}
		return n, last
	}
	forget := func(last time.Time) {
		t.Helper()
		if err := inbox.Forget(t.Context(), computer, last); err != nil {
			t.Fatal(err)
		}
	}
	_, first := sent()
	p.saveAs("s2", "s1")
	forget(first)
	equal(t, describe(t, p.unpacked(inbox, "s2"), p.ids), describe(t, p.tree, p.ids))
	n, last := sent()
	if n != 1 || !last.After(first) {
		t.Fatalf("%d computers, the last came %v, the first %v", n, last, first)
	}
	again, err := OpenInbox(t.Context(), inbox.dir) // as when the node starts again
	if err != nil || again.ID() != inbox.ID() {
		t.Fatalf("%v", err)
	}
	if err := again.Sent(t.Context(), func(_ runtime.ID, at time.Time) error {
		if at.Before(last) {
			t.Errorf("it is said to have come %v", at)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	forget(last)
	if n, _ := sent(); n != 0 {
		t.Fatalf("%d computers are left", n)
	}
	p.saveAs("s3", "") // from the beginning
	equal(t, describe(t, p.unpacked(inbox, "s3"), p.ids), describe(t, p.tree, p.ids))
}
