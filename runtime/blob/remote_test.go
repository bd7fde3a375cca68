package blob

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
)

// wayTo leads all requests to a server.
type wayTo struct{ *httptest.Server }

func (w wayTo) RoundTrip(r *http.Request) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.URL.Scheme, out.URL.Host = "http", w.Listener.Addr().String()
	return w.Client().Transport.RoundTrip(out)
}

// servedDir is a directory of another machine; take may be nil.
func servedDir(t *testing.T, take func(string, int) error) (*Dir, *Remote, *httptest.Server) {
	t.Helper()
	dir := NewDir(filepath.Join(t.TempDir(), "store"))
	if err := dir.Make(t.Context(), "store", []byte("id")); err != nil {
		t.Fatal(err)
	}
	if take == nil {
		take = func(string, int) error { return nil }
	}
	server := httptest.NewServer(Serve(dir, take))
	t.Cleanup(server.Close)
	return dir, NewRemote(wayTo{server}), server
}

func TestAnotherMachinesStoreIsAddedTo(t *testing.T) {
	dir, far, _ := servedDir(t, nil)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	want := map[string][]byte{"c/x/a": large, "c/x/b": {}, "c/x/c d&e=f": []byte("new")}
	for key, data := range want {
		for range 2 {
			if err := far.Put(t.Context(), key, data); err != nil {
				t.Fatal(err)
			}
		}
	}
	for key, data := range want {
		for _, s := range []Store{dir, far} {
			if got, err := s.Get(t.Context(), key, 1<<20); err != nil || !bytes.Equal(got, data) {
				t.Errorf("%s in %s has %d bytes, %v", key, s, len(got), err)
			}
		}
	}
	var names []string
	err := far.List(t.Context(), "c/x/", func(e Entry) error { names = append(names, e.Name); return nil })
	if slices.Sort(names); err != nil || !slices.Equal(names, []string{"a", "b", "c d&e=f"}) {
		t.Errorf("%q, %v", names, err)
	}
	if err := far.List(t.Context(), "none/", func(Entry) error { return errors.New("visited") }); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"make":   far.Make(t.Context(), "made", nil),
		"delete": far.Delete(t.Context(), []string{"c/x/a"}),
	} {
		if !errors.Is(err, runtime.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhyAnotherMachineDoesNotTakeABlob(t *testing.T) {
	full := func(key string, bytes int) error {
		switch {
		case key == "busy":
			return errors.New("not now")
		case bytes > 10:
			return fmt.Errorf("%w: as a test has it", runtime.ErrFull)
		}
		return nil
	}
	_, far, server := servedDir(t, full)
	ctx := t.Context()
	if err := far.Put(ctx, "a", []byte("0123456789")); err != nil {
		t.Fatal(err)
	}
	done, cancel := context.WithCancel(ctx)
	cancel()
	get := func(key string, most int64) error { _, err := far.Get(ctx, key, most); return err }
	for name, tt := range map[string]struct{ got, want error }{
		"none":          {get("none", 10), ErrNotFound},
		"too large":     {get("a", 9), nil},
		"no room":       {far.Put(ctx, "b", make([]byte, 11)), runtime.ErrFull},
		"no key":        {far.Put(ctx, "../b", nil), runtime.ErrInvalid},
		"not now":       {far.Put(ctx, "busy", nil), runtime.ErrNoInbox},
		"far too large": {far.Put(ctx, "b", make([]byte, MaxPutBytes+1)), nil},
		"called off":    {far.Put(done, "b", nil), context.Canceled},
	} {
		if tt.got == nil || tt.want != nil && !errors.Is(tt.got, tt.want) {
			t.Errorf("%s: %v", name, tt.got)
		}
	}
	server.Close()
	if err := far.Put(ctx, "a", nil); !errors.Is(err, runtime.ErrNoInbox) {
		t.Errorf("a machine that is away: %v", err)
	}
}

// TestAListThatIsCutIsNoList has the other machine end in the middle.
func TestAListThatIsCutIsNoList(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, `{"Name":"a"}`)
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	defer server.Close()
	n := 0
	err := NewRemote(wayTo{server}).List(t.Context(), "c/", func(Entry) error { n++; return nil })
	if !errors.Is(err, runtime.ErrNoInbox) || n != 1 {
		t.Errorf("%d entries, %v", n, err)
	}
	short := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, `{"Name":"a"}`) }))
	defer short.Close()
	if err := NewRemote(wayTo{short}).List(t.Context(), "c/", func(Entry) error { return nil }); !errors.Is(err, runtime.ErrNoInbox) {
		t.Errorf("without its end: %v", err)
	}
}
