package bare_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/bothy-computer/bothy/bench/bare"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRaftCommitsEverywhereAndOutlivesItsLeader(t *testing.T) {
	r, err := bare.OpenRaft(bare.RaftOptions{Dir: t.TempDir(), Commit: 5 * time.Millisecond,
		Heartbeat: 200 * time.Millisecond, Election: 200 * time.Millisecond, Quorum: 100 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	acked, seen, err := r.WriteSeen([]byte("one"))
	if err != nil || seen < acked || acked <= 0 {
		t.Fatalf("acknowledged after %v, seen after %v, %v", acked, seen, err)
	}
	if lost, err := r.LoseLeader([]byte("two")); err != nil || lost <= 0 {
		t.Fatalf("%v, %v", lost, err)
	}
}

func TestFsyncLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	s, _, err := bare.Fsync(dir, 512, 20*time.Millisecond)
	if n, _ := s.Count(); err != nil || n == 0 {
		t.Fatalf("%d writes, %v", n, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left %v, %v", left, err)
	}
}

func TestEchoAnswers(t *testing.T) {
	e, err := bare.OpenEcho(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Call("hello"); err != nil {
		t.Error(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestRuncRunsAndRemoves(t *testing.T) {
	dir, err := os.MkdirTemp("", "bothy-bench-test-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o711); err != nil {
		t.Fatal(err)
	}
	r, err := bare.OpenRunc(filepath.Join(dir, "runc"))
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Run(t.Context(), "one", "/bin/true"); err != nil {
		t.Error(err)
	}
	if err := r.Run(t.Context(), "wrong", "/bin/false"); err == nil {
		t.Error("a command that failed passed for one that did not")
	}
	if err := r.Start(t.Context(), "two", "/bin/sleep", "60"); err != nil {
		t.Fatal(err)
	}
	if err := r.Exec(t.Context(), "two", "/bin/true"); err != nil {
		t.Error(err)
	}
	for _, id := range []string{"two", "wrong", "never"} {
		if err := r.Remove(t.Context(), id); err != nil {
			t.Error(err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}
