package runtime

import (
	"net/netip"
	"testing"
)

func TestIsInside(t *testing.T) {
	for addr, want := range map[string]bool{
		"8.8.8.8": false, "1.1.1.1": false, "2606:4700:4700::1111": false, "2a00:1450::1": false,
		"127.0.0.1": true, "10.1.2.3": true, "172.31.0.1": true, "192.168.0.1": true, "169.254.169.254": true,
		"100.68.0.2": true, "0.0.0.0": true, "224.0.0.1": true, "255.255.255.255": true,
		"::1": true, "::": true, "fe80::1": true, "fe80::1%eth0": true, "fd00::1": true, "fec0::1": true, "ff02::1": true,
		// IPv4 addresses in the dress of IPv6: mapped, translated, tunnelled.
		"::ffff:127.0.0.1": true, "::ffff:8.8.8.8": false, "::127.0.0.1": true, "64:ff9b::7f00:1": true,
		"2002:7f00:1::1": true, "2001:0:7f00:1::": true, "2001:db8::1": true,
	} {
		if got := IsInside(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %v", addr, got)
		}
	}
}
