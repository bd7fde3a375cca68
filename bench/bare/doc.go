// Package bare holds what Bothy is compared to: the same work done by the part
// below it alone, on the same machine, disk and run.
//
//	raft.go    three raft voters over TCP, with nothing on top
//	disk.go    one write and its fsync after another
//	runc.go    the OCI runtime with a bundle much like a computer's
//	echo.go    HTTP over a unix socket
//	stream.go  server-sent events from net/http
package bare
