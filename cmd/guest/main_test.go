package main

import (
	"bytes"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest"
)

// asGuest makes the test binary be the guest.
const asGuest = "GUEST_TEST_ARGS"

func TestMain(m *testing.M) {
	if os.Getenv(asGuest) != "" {
		os.Args = []string{"guest", "--fd", "3", "--user", "root", "--workdir", os.Getenv(asGuest), "--grace", "200ms"}
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// The guest is pid 1 and inherits its socket, as in a computer.
func TestGuestServesAnInheritedSocketAsPID1(t *testing.T) {
	socket, dir := filepath.Join(t.TempDir(), "s"), t.TempDir()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	file, err := ln.File()
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asGuest+"="+dir)
	cmd.ExtraFiles = []*os.File{file}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	file.Close()
	t.Cleanup(func() { cmd.Process.Kill() }) // has ended by then, unless the test failed

	c := guest.Dial(socket)
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := c.Health(ctx); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	exit, err := c.Exec(ctx, runtime.Cmd{Argv: []string{"/bin/sh", "-c", "pwd; (sleep 60 &) ; exit 4"}, Stdout: &out})
	if err != nil || exit.Code != 4 || out.String() != dir+"\n" {
		t.Errorf("%+v %q %v", exit, &out, err)
	}
	begun := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("ending took %v", took)
	}
	if err := c.Health(ctx); err == nil {
		t.Error("it still answers")
	}
}

func TestListenNeedsASocket(t *testing.T) {
	for _, f := range []flags{{fd: -1}, {fd: 9999}} {
		if ln, err := listen(f); err == nil {
			t.Errorf("%+v: got %v", f, ln.Addr())
		}
	}
}
