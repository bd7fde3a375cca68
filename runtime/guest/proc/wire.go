package proc

import (
	"fmt"
	"os"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"
)

// wire is the plumbing between the guest and one process.
type wire struct {
	child   []*os.File // what the process gets as 0, 1, 2
	input   *os.File
	tty     *os.File
	slave   *os.File // the process's end of tty
	outputs []source
}

type source struct {
	file   *os.File
	stream Stream
	chunk  int
}

func openWire(spec Spec) (*wire, error) {
	w := &wire{}
	var err error
	if spec.Size != nil {
		err = w.openTerminal(spec)
	} else {
		err = w.openPipes(spec.Stdin)
	}
	if err != nil {
		w.closeChildEnds()
		w.closeOwnEnds()
		return nil, err
	}
	return w, nil
}

func (w *wire) openPipes(stdin bool) error {
	if err := w.openStdin(stdin); err != nil {
		return err
	}
	for _, stream := range []Stream{Stdout, Stderr} {
		r, out, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("open pipe: %w", err)
		}
		w.child = append(w.child, out)
		w.outputs = append(w.outputs, source{r, stream, pipeChunkBytes})
	}
	return nil
}

func (w *wire) openStdin(open bool) error {
	if !open {
		null, err := os.Open(os.DevNull)
		if err != nil {
			return fmt.Errorf("open empty stdin: %w", err)
		}
		w.child = append(w.child, null)
		return nil
	}
	in, feed, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("open stdin: %w", err)
	}
	w.child, w.input = append(w.child, in), feed
	return nil
}

func (w *wire) openTerminal(spec Spec) error {
	master, tty, err := pty.Open()
	if err != nil {
		return fmt.Errorf("open terminal: %w", err)
	}
	defer master.Close() // pollable makes a descriptor of its own
	w.child, w.slave = []*os.File{tty, tty, tty}, tty
	if spec.User != nil {
		if err := tty.Chown(int(spec.User.Uid), -1); err != nil {
			return fmt.Errorf("give the terminal to its user: %w", err)
		}
	}
	own, err := pollable(master)
	if err != nil {
		return err
	}
	w.input, w.tty = own, own
	w.outputs = []source{{own, Terminal, ptyChunkBytes}}
	return setSize(own, *spec.Size)
}

// pollable gives a descriptor that takes deadlines: pty.Open has put its own
// into blocking mode.
func pollable(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate terminal: %w", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("make terminal pollable: %w", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

func setSize(tty *os.File, size Size) error {
	conn, err := tty.SyscallConn()
	if err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	var failed error
	err = conn.Control(func(fd uintptr) {
		failed = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Col: size.Cols, Row: size.Rows})
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return fmt.Errorf("resize terminal: %w", err)
	}
	return nil
}

func (w *wire) childFDs() []uintptr {
	fds := make([]uintptr, len(w.child))
	for i, f := range w.child {
		fds[i] = f.Fd()
	}
	return fds
}

// closeChildEnds leaves a terminal open: it would hang up on a process that
// closes all its files shortly before it exits, or to open them anew.
func (w *wire) closeChildEnds() {
	if w.slave != nil {
		return
	}
	for _, f := range w.child {
		f.Close()
	}
}

// closeOwnEnds undoes openWire when no process came of it.
func (w *wire) closeOwnEnds() {
	if w.input != nil {
		w.input.Close()
	}
	for _, out := range w.outputs {
		out.file.Close()
	}
	w.release()
}

// release lets the terminal end with its last holder.
func (w *wire) release() {
	if w.slave != nil {
		w.slave.Close()
	}
}

// readNow reads what is there: 0 and no error is the end of the stream, and
// an error, such as EAGAIN, comes with -1.
func readNow(f *os.File, buf []byte) (n int, err error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return -1, fmt.Errorf("read pipe: %w", err)
	}
	var failed error
	err = conn.Read(func(fd uintptr) bool {
		n, failed = unix.Read(int(fd), buf)
		return true
	})
	if err == nil {
		err = failed
	}
	if err != nil {
		return -1, fmt.Errorf("read pipe: %w", err)
	}
	return n, nil
}
