package container

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

func TestAComputersLife(t *testing.T) {
	n := newNode(t, 0)
	ctx := t.Context()
	spec := n.spec()
	begin := time.Now()
	id := n.started(spec)
	if got := n.says(id, "", "id -un; hostname; pwd; cat /proc/1/cmdline | tr '\\0' ' '"); got != "node\nhut\n/workspace\n/run/bothy/guest --fd 3" {
		t.Errorf("inside: %q", got)
	}
	t.Logf("cold create to first command: %v", time.Since(begin))
	n.says(id, "", "echo kept > /workspace/a; echo kept > ~/b")
	st, err := n.Inspect(ctx, id)
	if err != nil || st.Phase != runtime.Running || st.PID == 0 {
		t.Fatalf("status %+v, %v", st, err)
	}
	if err := n.Stop(ctx, 1, id, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	if st, err := n.Inspect(ctx, id); err != nil || st.Phase != runtime.Stopped || st.PID != 0 {
		t.Fatalf("status %+v, %v", st, err)
	}
	if err := n.Start(ctx, 1, id); err != nil {
		t.Fatal(err)
	}
	if got := n.says(id, "", "cat /code/a /home/node/workspace/a ~/b"); got != "kept\nkept\nkept" {
		t.Errorf("after a stop: %q", got)
	}
	if err := n.Remove(ctx, 1, id); err != nil {
		t.Fatal(err)
	}
	if err := n.Remove(ctx, 1, id); err != nil {
		t.Errorf("removing twice: %v", err)
	}
}
