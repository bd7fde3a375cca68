package container

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// endTime bounds the end of a computer that misbehaves.
const endTime = 15 * time.Second

// buffers is a script that fills as many sockets as it may, and says what the
// machine's hold.
const buffers = `python3 -c '
import socket
l = socket.socket(); l.bind(("127.0.0.1", 0)); l.listen(1000)
k = []
for i in range(100):
    c = socket.create_connection(l.getsockname()); c.setblocking(False)
    c.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
    k += [c, l.accept()[0]]
    try:
        while True: c.send(b"x" * (1 << 20))
    except BlockingIOError: pass
print(open("/proc/net/sockstat").read())
'`

// TestSocketsHoldABoundedPartOfMemory covers what a v1 memory limit leaves out.
func TestSocketsHoldABoundedPartOfMemory(t *testing.T) {
	n := newNode(t, 0)
	spec := n.spec()
	id := n.started(spec)
	for i, limit := range []int64{spec.Resources.MemoryBytes, 512 << 20} {
		if i > 0 {
			if err := n.Resize(t.Context(), 1, id, runtime.Resources{MemoryBytes: limit}); err != nil {
				t.Fatal(err)
			}
		}
		_, stat, _ := strings.Cut(n.says(id, "", buffers), "TCP:")
		_, mem, _ := strings.Cut(stat, "mem ")
		var pages int64
		if _, err := fmt.Sscan(mem, &pages); err != nil {
			t.Fatal(err)
		}
		if held := pages * int64(os.Getpagesize()); held > limit/4 {
			t.Errorf("a computer of %d MiB holds %d MiB in sockets", limit>>20, held>>20)
		}
	}
}

// TestAGuestThatRootInsideEnds is a computer that has ended, no more: it starts
// again, even while its former life is still on its way out.
func TestAGuestThatRootInsideEnds(t *testing.T) {
	n := newNode(t, 0)
	id := n.started(n.spec())
	for _, signal := range []string{"KILL", "STOP", "TERM", "SEGV", "QUIT"} {
		ctx, cancel := context.WithTimeout(t.Context(), endTime)
		_, err := n.Exec(ctx, 1, id, runtime.Cmd{Argv: []string{"/bin/sh", "-c", "trap '' TERM; kill -" + signal + " 1; sleep 1"}, User: "root"})
		cancel()
		t.Logf("%s: %v", signal, err)
		switch signal {
		case "KILL", "STOP": // which the kernel keeps from a first process
			if st, err := n.Inspect(t.Context(), id); err != nil || st.Phase != runtime.Running {
				t.Errorf("%s: %s, %v", signal, st.Phase, err)
			}
		case "SEGV", "QUIT":
			until(t, "it is stopped", func() bool {
				st, err := n.Inspect(t.Context(), id)
				return err == nil && st.Phase == runtime.Stopped
			})
		}
		if err := n.Start(t.Context(), 1, id); err != nil {
			t.Errorf("after %s: %v", signal, err)
		}
		n.says(id, "", "true")
	}
}
