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

// Namespace is the network of a computer, kept open: it stays that computer's
// whatever becomes of its processes and of their numbers.
type Namespace struct{ file *os.File }

// OpenNamespace opens the network namespace of a process. The caller makes sure
// that pid is that of the computer until it returns.
func OpenNamespace(pid int) (Namespace, error) {
	file, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", pid))
	if err != nil {
		return Namespace{}, fmt.Errorf("open network namespace: %w", err)
	}
	return Namespace{file}, nil
}

// Close lets the namespace go; connections made in it stay.
func (n Namespace) Close() error { return n.file.Close() }

// Dial connects to a TCP address as seen inside, such as "127.0.0.1:8080".
func (n Namespace) Dial(ctx context.Context, addr string) (net.Conn, error) {
	var conn net.Conn
	err := n.do(func() (err error) {
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

// Listen listens on a free TCP port of the loopback address inside. Who connects
// there is a process of that computer.
func (n Namespace) Listen() (net.Listener, error) {
	var listener net.Listener
	err := n.do(func() (err error) {
		listener, err = net.Listen("tcp4", net.JoinHostPort(loopback.Addr().String(), "0"))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("listen inside: %w", err)
	}
	return listener, nil
}

// do calls what on a thread that has entered the namespace. The thread is
// thrown away: one that could not find its way back would poison whatever ran
// on it next.
func (n Namespace) do(what func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked, so the thread ends with this goroutine
		done <- func() error {
			if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter network namespace: %w", err)
			}
			return what()
		}()
	}()
	return <-done
}

// inNamespace calls do inside the network namespace of a process.
func inNamespace(pid int, do func() error) error {
	ns, err := OpenNamespace(pid)
	if err != nil {
		return err
	}
	return errors.Join(ns.do(do), ns.Close())
}
