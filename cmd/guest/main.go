// Command guest is the first process of a computer. It runs commands and
// touches files for the node, which holds the other end of its socket; it
// waits for the children that others leave behind; and on SIGTERM it ends
// everything in the computer and then itself. Started again inside the
// computer it is what a login by SSH needs and an image may lack: a shell's
// beginning, an SFTP server, the far end of scp.
package main

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime/guest/login"
	"github.com/bothy-computer/bothy/runtime/guest/proc"
	"github.com/bothy-computer/bothy/runtime/guest/scp"
	"github.com/bothy-computer/bothy/runtime/guest/server"
	"github.com/bothy-computer/bothy/runtime/guest/sftp"
)

const (
	// heapTarget keeps the guest small at rest: there is one in every computer.
	heapTarget = 40
	// heapBytes makes the collector thrifty before the computer's own limit
	// is felt.
	heapBytes = 64 << 20
)

type flags struct {
	fd      int
	socket  string
	user    string
	workdir string
	grace   time.Duration
}

// roles are what the guest is besides, by its first argument.
var roles = map[string]func(args []string) error{
	"login": login.Exec,
	"sftp":  func([]string) error { return sftp.Serve(os.Stdin, os.Stdout) },
	"scp":   func(args []string) error { return scp.Run(args, os.Stdin, os.Stdout) },
}

func main() {
	if len(os.Args) > 1 && roles[os.Args[1]] != nil {
		if err := roles[os.Args[1]](os.Args[2:]); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[1], err)
			os.Exit(1)
		}
		return
	}
	var f flags
	flag.IntVar(&f.fd, "fd", -1, "number of the inherited listening socket")
	flag.StringVar(&f.socket, "socket", "", "path of a unix socket to make and listen on, in place of --fd")
	flag.StringVar(&f.user, "user", "node", "as whom commands run by default")
	flag.StringVar(&f.workdir, "workdir", "/workspace", "where commands run by default")
	flag.DurationVar(&f.grace, "grace", 5*time.Second, "time between SIGTERM and SIGKILL to the processes of the computer")
	flag.Parse()
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	if err := run(f, log); err != nil {
		log.Error("guest ends", "err", err)
		os.Exit(1)
	}
}

func run(f flags, log *slog.Logger) error {
	debug.SetGCPercent(heapTarget)
	debug.SetMemoryLimit(heapBytes)
	ended := make(chan os.Signal, 2)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)
	ln, err := listen(f)
	if err != nil {
		return err
	}
	reach := proc.OwnOnly
	if os.Getpid() == 1 {
		reach = proc.EveryOrphan
		// Root in the computer is to be kept from the guest's memory and
		// descriptors; the kernel gives those of such a process to real root alone.
		if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
			return fmt.Errorf("hide from the computer: %w", err)
		}
	}
	s := server.New(server.Options{User: f.user, Workdir: f.workdir, Reach: reach, Log: log})
	failed := make(chan error, 1)
	go func() { failed <- s.Serve(ln) }()
	select {
	case err := <-failed:
		return errors.Join(err, s.Close(f.grace))
	case <-ended:
		return errors.Join(s.Close(f.grace), <-failed)
	}
}

func listen(f flags) (net.Listener, error) {
	if f.fd < 0 {
		if f.socket == "" {
			return nil, errors.New("give --fd NUMBER or --socket PATH")
		}
		return net.Listen("unix", f.socket)
	}
	file := os.NewFile(uintptr(f.fd), "listener")
	defer file.Close() // FileListener has made its own
	ln, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("listen on descriptor %d: %w", f.fd, err)
	}
	if unix, ok := ln.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(false) // the path is the node's, not ours
	}
	return ln, nil
}
