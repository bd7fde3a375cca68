package network

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/bothy-computer/bothy/runtime"
)

// Inside reports whether an address lies inside as runtime.IsInside has it, on
// a network of this machine as it is now, or is one that Refuse named. Nothing
// is connected to there for a computer or for whoever owns one.
func (n *Network) Inside(addr netip.Addr) (bool, error) {
	addr = addr.Unmap()
	if runtime.IsInside(addr) {
		return true, nil
	}
	n.known.RLock()
	refused := n.refused
	n.known.RUnlock()
	for _, block := range refused {
		if block.Contains(addr) {
			return true, nil
		}
	}
	near, err := net.InterfaceAddrs()
	if err != nil {
		return true, fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range near {
		if block, err := netip.ParsePrefix(a.String()); err == nil && block.Contains(addr) {
			return true, nil
		}
	}
	return false, nil
}
