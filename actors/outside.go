package actors

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// Bounds of a connection to what a tenant names.
const (
	outsideDialTimeout = 10 * time.Second
	outsideIdleLimit   = 30 * time.Second
	outsideHeaderBytes = 64 << 10
	outsideIdleConns   = 64
)

// outside is the way from a node to what tenants name: through no proxy, and
// to no address inside unless it is in allowed. Each connection is checked as
// it is made, so neither a redirect nor a name that leads elsewhere the second
// time gets around it.
func outside(d Driver, allowed []netip.Prefix) *http.Transport {
	dialer := &net.Dialer{Timeout: outsideDialTimeout, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("connect to %s: %w", address, err)
		}
		return mayReach(d, allowed, at.Addr())
	}}
	return &http.Transport{DialContext: dialer.DialContext, ForceAttemptHTTP2: true, TLSHandshakeTimeout: outsideDialTimeout,
		MaxIdleConns: outsideIdleConns, IdleConnTimeout: outsideIdleLimit, MaxResponseHeaderBytes: outsideHeaderBytes}
}

func mayReach(d Driver, allowed []netip.Prefix, addr netip.Addr) error {
	addr = addr.Unmap()
	if slices.ContainsFunc(allowed, func(p netip.Prefix) bool { return p.Contains(addr) }) {
		return nil
	}
	inside, err := runtime.IsInside(addr), error(nil)
	if b, ok := d.(runtime.Border); ok && !inside {
		inside, err = b.Inside(addr)
	}
	if err == nil && inside {
		err = runtime.ErrInside
	}
	return err
}
