package proc

import (
	"bytes"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// asInit makes the test binary play pid 1 of a computer.
const asInit = "PROC_TEST_AS_INIT"

// beInit runs in its own pid namespace. It prints what it finds; the test
// outside compares.
func beInit() int {
	tb := NewTable(EveryOrphan, slog.New(slog.NewTextHandler(os.Stderr, nil)))
	term := make(chan os.Signal, 1)
	signal.Notify(term, syscall.SIGTERM)
	fmt.Println("pid", os.Getpid())
	for range 20 { // many exits at once: own children and orphans side by side
		_, sub, err := tb.Start(shell("(sleep 0.02; exit 9) & (exit 8) & exit 7"))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		for ev := range sub.C {
			if ev.End != nil && ev.End.Code() != 7 {
				fmt.Println("own child ended with", ev.End)
			}
		}
	}
	_, sub, err := tb.Start(shell("setsid sh -c 'trap \"\" TERM; while :; do sleep 0.05; done' & exit 0"))
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for range sub.C {
	}
	if err := awaitNoZombies(); err != nil {
		fmt.Println(err)
	}
	fmt.Println("ready")
	<-term
	tb.Close(200 * time.Millisecond)
	left, err := others()
	fmt.Println("left", left, err)
	return 0
}

// others are the processes of this namespace beside our own, zombies too.
// /proc is the outer one, so every number is tried; our own threads answer
// too, but every process that was started has another session.
func others() (pids []int, err error) {
	own, err := unix.Getsid(0)
	if err != nil {
		return nil, err
	}
	for pid := 2; pid < manyPIDs; pid++ {
		if sid, err := unix.Getsid(pid); err == nil && sid != own {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// manyPIDs is more than the test uses.
const manyPIDs = 5000

// awaitNoZombies waits until only the deaf shell and its sleep are left.
func awaitNoZombies() error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		pids, err := others()
		if err != nil || len(pids) <= 2 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("orphans were not waited for: %v", pids)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestPID1(t *testing.T) {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), asInit+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Pdeathsig: syscall.SIGKILL}
	out := &lineWaiter{want: "ready\n", seen: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-out.seen:
	case err := <-ended:
		t.Fatalf("it ended too early: %v\n%s", err, out.text.Bytes())
	case <-time.After(30 * time.Second):
		cmd.Process.Kill()
		t.Fatalf("it is not ready: %v", <-ended)
	}
	begun := time.Now()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if took := time.Since(begun); took > 5*time.Second {
		t.Errorf("it took %v to end", took)
	}
	if got, want := out.text.String(), "pid 1\nready\nleft [] <nil>\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// lineWaiter is a buffer that tells when a text was written. It may be read
// after seen is closed and the writer has ended.
type lineWaiter struct {
	text bytes.Buffer
	want string
	seen chan struct{}
}

func (w *lineWaiter) Write(p []byte) (int, error) {
	had := strings.Contains(w.text.String(), w.want)
	n, err := w.text.Write(p)
	if !had && strings.Contains(w.text.String(), w.want) {
		close(w.seen)
	}
	return n, err
}
