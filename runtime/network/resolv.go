package network

import (
	"net/netip"
	"os"
	"strings"
)

// resolvFiles are where the machine's name servers stand; the first is that of
// a resolver which shows only itself, on loopback, in the second.
var resolvFiles = []string{"/run/systemd/resolve/resolv.conf", "/etc/resolv.conf"}

// maxServers is how many name servers a C library looks at.
const maxServers = 3

// NameServers are the machine's IPv4 name servers that a computer can ask.
func NameServers() []netip.Addr {
	for _, path := range resolvFiles {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		if servers := parseServers(string(text)); servers != nil {
			return servers
		}
	}
	return nil
}

func parseServers(text string) []netip.Addr {
	var out []netip.Addr
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		addr, err := netip.ParseAddr(fields[1])
		if err == nil && addr.Is4() && !addr.IsLoopback() && len(out) < maxServers {
			out = append(out, addr)
		}
	}
	return out
}

// ResolvConf is what a computer with egress finds in /etc/resolv.conf.
func ResolvConf() string {
	var text strings.Builder
	for _, s := range NameServers() {
		text.WriteString("nameserver " + s.String() + "\n")
	}
	return text.String()
}
