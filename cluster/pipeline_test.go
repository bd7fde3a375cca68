package cluster

import (
	"io"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/hashicorp/raft"
)

// plainLayer is TCP on this machine, for two raft transports.
type plainLayer struct{ net.Listener }

func (plainLayer) Dial(to raft.ServerAddress, timeout time.Duration) (net.Conn, error) {
	return net.DialTimeout("tcp", string(to), timeout)
}

func newLinks(t *testing.T) raftLinks {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	links := raftLinks{raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: plainLayer{ln}, MaxPool: raftPool, Timeout: 10 * time.Second, Logger: raftLogger(slog.New(slog.DiscardHandler), "raft"),
	})}
	t.Cleanup(func() {
		if err := links.Close(); err != nil && err != io.EOF {
			t.Error(err)
		}
	})
	return links
}

// TestAPipelineNeverWaitsForWhoLeft sends more than raft's own pipeline holds
// while nobody takes an answer, as when the reader met a newer term.
func TestAPipelineNeverWaitsForWhoLeft(t *testing.T) {
	from, to := newLinks(t), newLinks(t)
	answered, stop := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(answered)
		for {
			select {
			case rpc := <-to.Consumer():
				rpc.Respond(&raft.AppendEntriesResponse{Term: 2}, nil)
			case <-stop:
				return
			}
		}
	}()
	defer func() { close(stop); <-answered }()
	p, err := from.AppendEntriesPipeline("to", to.LocalAddr())
	if err != nil {
		t.Fatal(err)
	}
	const some = 10
	sent := make(chan error, 1)
	go func() {
		for range some {
			if _, err := p.AppendEntries(&raft.AppendEntriesRequest{Term: 1}, new(raft.AppendEntriesResponse)); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	select {
	case err := <-sent:
		if err != nil {
			t.Fatal(err)
		}
	case <-time.After(5 * time.Second):
		p.Close()
		t.Fatal("sending waits for somebody to take an answer")
	}
	for i := range some {
		if a := <-p.Consumer(); a.Error() != nil || a.Response().Term != 2 {
			t.Fatalf("answer %d: %v", i, a.Error())
		}
	}
	for range 2 {
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
