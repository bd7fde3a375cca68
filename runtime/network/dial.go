package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// dialTime bounds a connection attempt into a computer.
const dialTime = 10 * time.Second

// Dial connects to a TCP address as seen inside the network namespace of a
// process, such as a computer's "127.0.0.1:8080". The caller makes sure that
// pid is still that of the computer.
func Dial(ctx context.Context, pid int, addr string) (net.Conn, error) {
	var conn net.Conn
	err := inNamespace(pid, func() (err error) {
		// A literal address: names would be looked up by the machine's resolver.
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return err
		}
		if net.ParseIP(host) == nil {
			return fmt.Errorf("%q is no IP address", host)
		}
		dialer := net.Dialer{Timeout: dialTime, FallbackDelay: -1} // no second goroutine, which would be outside
		conn, err = dialer.DialContext(ctx, "tcp", addr)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s inside: %w", addr, err)
	}
	return conn, nil
}

// inNamespace calls do on a thread that has entered the network namespace of a
// process. The thread is thrown away: one that could not find its way back
// would poison whatever ran on it next.
func inNamespace(pid int, do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with this goroutine
		done <- func() error {
			ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
			if err != nil {
				return err
			}
			err = unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET)
			if err = errors.Join(err, ns.Close()); err != nil {
				return fmt.Errorf("enter network namespace: %w", err)
			}
			return do()
		}()
	}()
	return <-done
}
