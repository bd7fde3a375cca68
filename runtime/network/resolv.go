package network

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/bothy-computer/bothy/runtime/network/resolver"
)

// resolvFile says which name servers the machine asks.
const resolvFile = "/etc/resolv.conf"

// machineServers are the machine's name servers, read again when the file is
// another one.
type machineServers struct {
	mu   sync.Mutex
	seen os.FileInfo
	last []netip.AddrPort
}

func (m *machineServers) list() []netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	info, err := os.Stat(resolvFile)
	if err == nil && m.seen != nil && os.SameFile(info, m.seen) && info.ModTime().Equal(m.seen.ModTime()) && info.Size() == m.seen.Size() {
		return m.last
	}
	// A file that is being replaced leaves what was known.
	if text, err := os.ReadFile(resolvFile); err == nil || m.last == nil {
		m.seen, m.last = info, parseServers(string(text))
	}
	return m.last
}

// parseServers reads what a C library would: without any, one on this machine.
func parseServers(text string) []netip.AddrPort {
	var out []netip.AddrPort
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		addr, err := netip.ParseAddr(fields[1])
		if at := netip.AddrPortFrom(addr, dnsPort); err == nil && !slices.Contains(out, at) && len(out) < resolver.MaxServers {
			out = append(out, at)
		}
	}
	if out == nil {
		out = []netip.AddrPort{netip.AddrPortFrom(loopback.Addr(), dnsPort)}
	}
	return out
}

// ResolvConf is what a computer with egress finds in /etc/resolv.conf: the
// machine's end of its link, and no other.
func ResolvConf(index int) string {
	machine, _ := addresses(index)
	return "nameserver " + machine.Addr().String() + "\n"
}
