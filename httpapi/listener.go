package httpapi

import (
	"net"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

// MaxConnections bounds the connections open at once; more wait to be accepted.
const MaxConnections = 32768

// bounded accepts no more than most connections at once, and never more than
// half of what files this process may open: the rest is for its records and
// for the other nodes.
func bounded(ln net.Listener, most int) net.Listener {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		most = int(min(uint64(most), files.Cur/2))
	}
	return netutil.LimitListener(ln, max(most, 1))
}
