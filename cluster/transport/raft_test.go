package transport

import (
	"io"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

func TestRaftLayerCarriesAStream(t *testing.T) {
	c := newCluster(t, 2)
	a, b := c.nodes[0], c.nodes[1]
	go func() {
		for {
			conn, err := b.RaftLayer().Accept()
			if err != nil {
				return
			}
			go func() { io.Copy(conn, conn); conn.Close() }()
		}
	}()
	conn, err := a.RaftLayer().Dial(raft.ServerAddress(b.id), time.Second)
	must(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte("append"))
	must(t, err)
	got := make([]byte, 6)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "append" {
		t.Fatalf("got %q, %v", got, err)
	}
	if addr := a.RaftLayer().Addr().String(); addr != string(a.id) {
		t.Fatalf("raft's address is %q, not the uuid", addr)
	}
}
