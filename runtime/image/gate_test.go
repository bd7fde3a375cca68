package image

import (
	"testing"
)

// TestNobodyWaitsWhileTheDiskIsWritten: to write out what an image holds takes as
// long as everybody has written, and each Create takes hold of its image.
func TestNobodyWaitsWhileTheDiskIsWritten(t *testing.T) {
	p, s, _, layered, _ := twoStores(t)
	host, err := s.Resolve(t.Context(), Host)
	if err != nil {
		t.Fatal(err)
	}
	written := 0
	s.sync = func(path string) error {
		written++
		if !s.placing.mu.TryLock() {
			t.Error("who wants an image waits")
		} else {
			s.placing.mu.Unlock()
		}
		return syncDirOf(path)
	}
	nameless(t, s, host, "a")
	if err := s.Fetch(t.Context(), layered, p); err != nil {
		t.Fatal(err)
	}
	importMany(t, s)
	if err := s.Name(t.Context(), "other", host); err != nil {
		t.Fatal(err)
	}
	if written < 4 {
		t.Errorf("%d images of four were written out", written)
	}
}
