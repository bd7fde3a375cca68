package httpapi

import (
	"net"

	"golang.org/x/net/netutil"
	"golang.org/x/sys/unix"
)

// MaxConnections bounds the connections open at once; more wait to be accepted.
const MaxConnections = 32768

// reservedFiles are for this process's records and for the other nodes.
const reservedFiles = 4096

// bounded accepts no more than most connections at once, and leaves
// reservedFiles of those that this process may open, or half of them where
// that is little.
func bounded(ln net.Listener, most int) net.Listener {
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err == nil {
		room := files.Cur / 2
		if files.Cur > 2*reservedFiles {
			room = files.Cur - reservedFiles
		}
		most = int(min(uint64(most), room))
	}
	return netutil.LimitListener(ln, max(most, 1))
}
