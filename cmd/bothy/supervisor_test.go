package main

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

// TestTheServiceManagerIsTold runs a node as a unit of Type=notify would, stops
// it, and hears both.
func TestTheServiceManagerIsTold(t *testing.T) {
	root := scratchDir(t)
	socket := filepath.Join(root, "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	hears := func(want string) {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(startTime)); err != nil {
			t.Fatal(err)
		}
		said := make([]byte, 64)
		n, err := conn.Read(said)
		if err != nil || string(said[:n]) != want {
			t.Fatalf("the service manager hears %q, %v; want %q", said[:n], err, want)
		}
	}
	t.Setenv(supervisorVariable, socket)
	p := newProcess(t, root, "unit")
	p.start("")
	hears(supervisorReady)
	p.ready()
	p.stop()
	hears(supervisorStopping)
}
