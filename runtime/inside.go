package runtime

import (
	"net/netip"
	"slices"
)

// inside are the IPv4 ranges that lie on machines, between them, or nowhere.
var inside = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("224.0.0.0/3"),
}

// public6 is where IPv6 addresses of the internet are; within6 are those in it
// that hold an IPv4 address or are nobody's.
var (
	public6 = netip.MustParsePrefix("2000::/3")
	within6 = []netip.Prefix{netip.MustParsePrefix("2001::/23"), netip.MustParsePrefix("2001:db8::/32"), netip.MustParsePrefix("2002::/16"),
		netip.MustParsePrefix("3fff::/20")}
)

// InsideRanges are the IPv4 ranges of IsInside.
func InsideRanges() []netip.Prefix { return slices.Clone(inside) }

// IsInside reports whether an address is private, link-local, loopback, shared
// by a carrier, or no host's at all: whatever a tenant names, nothing is
// connected to there. A machine's own networks may lie outside of these; see
// Border.
func IsInside(addr netip.Addr) bool {
	addr = addr.Unmap()
	holds := func(p netip.Prefix) bool { return p.Contains(addr) }
	if addr.Is4() {
		return slices.ContainsFunc(inside, holds)
	}
	return addr.Zone() != "" || !public6.Contains(addr) || slices.ContainsFunc(within6, holds)
}

// Border is a Driver that knows what lies inside: IsInside, this machine and
// its networks, and other nodes.
type Border interface {
	Inside(addr netip.Addr) (bool, error)
}
