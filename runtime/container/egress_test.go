package container

import (
	"fmt"
	"net"
	"testing"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/network"
)

// TestEgressIsToggledLive covers what a container adds to package network:
// a namespace that belongs to another user namespace, and name servers.
func TestEgressIsToggledLive(t *testing.T) {
	here, err := net.Listen("tcp4", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	defer here.Close()
	port := here.Addr().(*net.TCPAddr).Port
	n := newNode(t, 0)
	spec := n.spec()
	spec.Egress.Allowed = true
	id := n.started(spec)
	links := func() string { return n.says(id, "", "ls -m /sys/class/net") }
	if got := links(); got != "eth0, lo" {
		t.Errorf("links with egress: %q", got)
	}
	r, err := n.load(id)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := n.says(id, "", "cat /etc/resolv.conf")+"\n", network.ResolvConf(linkOf(r)); got != want {
		t.Errorf("name servers %q, want %q", got, want)
	}
	for _, addr := range machineAddresses(t) {
		connect := fmt.Sprintf(`python3 -c 'import socket; socket.create_connection(("%s", %d), 3)'`, addr, port)
		if exit, out := n.sh(id, "", connect); exit.Code == 0 {
			t.Errorf("the machine's %s is reached: %s", addr, out)
		}
	}
	if err := n.Stop(t.Context(), 1, id, 0); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context(), 1, id); err != nil {
		t.Fatal(err)
	}
	if got := links(); got != "eth0, lo" {
		t.Errorf("links after a restart: %q", got)
	}
	for range 2 {
		if err := n.SetEgress(t.Context(), 1, id, runtime.Egress{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := links(); got != "lo" {
		t.Errorf("links without egress: %q", got)
	}
	if got := n.says(id, "", "cat /etc/resolv.conf"); got != "" {
		t.Errorf("name servers without egress: %q", got)
	}
}

// machineAddresses are those that a computer could try, its own link's
// machine end included.
func machineAddresses(t *testing.T) (out []string) {
	t.Helper()
	all, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range all {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && ip.To4() != nil && !ip.IsLoopback() {
			out = append(out, ip.String())
		}
	}
	return out
}
