package house

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// readyPatience bounds how long a node may take to be ready; the first one
	// builds the image of this machine.
	readyPatience = 90 * time.Second
	readyPoll     = 20 * time.Millisecond
	// endPatience is how long a node may take to end before it is killed.
	endPatience = 40 * time.Second
)

// Node is one `bothy up`.
type Node struct {
	Name, Dir, URL, Ops string
	at                  []string // its addresses: HTTP, peer, gossip, ops, SSH
	argv                []string
	env                 []string
	log                 string // file of its output

	lot   *lot // nil outside of towns
	cmd   *exec.Cmd
	ended chan error
}

// newNode chooses addresses; nothing runs yet.
func (h *House) newNode() (*Node, error) {
	name := h.nextName()
	n := &Node{log: filepath.Join(h.dir, name+".log")}
	var err error
	if h.town == nil {
		n.at, err = freeAddresses(5)
	} else if n.lot, err = h.town.settle(h.dir); err == nil {
		for _, port := range []string{"8080", "7080", "7180", "7280", "2222"} {
			n.at = append(n.at, net.JoinHostPort(n.lot.addr.String(), port))
		}
	}
	if err != nil {
		return nil, err
	}
	n.URL, n.Ops = "http://"+n.at[0], "http://"+n.at[3]
	h.call(n, name)
	return n, nil
}

// nextName is one that no node has had.
func (h *House) nextName() string {
	h.named++
	return fmt.Sprintf("n%d", h.named)
}

// call gives a node that does not run a name, and a directory after it.
func (h *House) call(n *Node, name string) {
	within := h.dir
	if n.lot != nil {
		within = n.lot.disk
	}
	n.Name, n.Dir = name, filepath.Join(within, name)
	n.argv = []string{h.bothy, "up", "--id", name, "--data-dir", n.Dir, "--config", h.config,
		"--http", n.at[0], "--peer", n.at[1], "--gossip", n.at[2], "--ops", n.at[3], "--ssh", n.at[4]}
}

// Use has nodes run another binary from their next start on.
func (h *House) Use(bothy string) error {
	bothy, err := filepath.Abs(bothy)
	if err != nil {
		return fmt.Errorf("find bothy: %w", err)
	}
	h.bothy = bothy
	for _, n := range h.Nodes {
		h.call(n, n.Name)
	}
	return nil
}

// PID is the node's process.
func (n *Node) PID() int { return n.cmd.Process.Pid }

// Start starts the process, again after a kill, and waits until it is ready.
func (n *Node) Start(ctx context.Context) error {
	if err := n.Launch(); err != nil {
		return err
	}
	return n.Ready(ctx)
}

// Launch starts the process and waits for nothing.
func (n *Node) Launch() error {
	log, err := os.OpenFile(n.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("start node %s: %w", n.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(n.argv[0], n.argv[1:]...)
	cmd.Env = append(os.Environ(), n.env...)
	cmd.Stdout, cmd.Stderr = log, log
	// Its own group: a Ctrl-C here must not end it before it was cleared.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	start := cmd.Start
	if n.lot != nil {
		start = func() error { return n.lot.within(func() error { return n.lot.clock.start(cmd) }) }
	}
	if err := start(); err != nil {
		return fmt.Errorf("start node %s: %w", n.Name, err)
	}
	n.cmd, n.ended = cmd, make(chan error, 1)
	go func() { n.ended <- cmd.Wait() }()
	return nil
}

// Ready waits until a node that was launched answers that it is.
func (n *Node) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyPatience)
	defer cancel()
	for {
		if n.answers(ctx) {
			return nil
		}
		select {
		case err := <-n.ended:
			n.cmd = nil
			return fmt.Errorf("node %s ended before it was ready: %w\n%s", n.Name, err, n.tail())
		case <-ctx.Done():
			return fmt.Errorf("node %s is not ready: %w\n%s", n.Name, ctx.Err(), n.tail())
		case <-time.After(readyPoll):
		}
	}
}

func (n *Node) answers(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, n.URL+"/readyz", nil)
	if err != nil {
		return false
	}
	reply, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	reply.Body.Close()
	return reply.StatusCode == http.StatusOK
}

// Log is what the node, and others before it in its place, wrote so far.
func (n *Node) Log() ([]byte, error) {
	text, err := os.ReadFile(n.log)
	if err != nil {
		return nil, fmt.Errorf("read the log of %s: %w", n.Name, err)
	}
	return text, nil
}

// maxTailBytes bounds what is quoted of a node's output.
const maxTailBytes = 4 << 10

func (n *Node) tail() []byte {
	text, err := n.Log()
	if err != nil {
		return nil
	}
	return text[max(0, len(text)-maxTailBytes):]
}

// Kill ends the process as a crash does, and returns when it is gone.
func (n *Node) Kill() error {
	if n.cmd == nil {
		return nil
	}
	if err := n.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill node %s: %w", n.Name, err)
	}
	<-n.ended
	n.cmd = nil
	return nil
}

// end asks the process to end, and kills it when it does not.
func (n *Node) end() error {
	if n.cmd == nil {
		return nil
	}
	select {
	case err := <-n.ended:
		n.cmd = nil
		return fmt.Errorf("node %s had ended by itself: %w\n%s", n.Name, err, n.tail())
	default:
	}
	if err := n.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end node %s: %w", n.Name, err)
	}
	select {
	case <-n.ended:
		n.cmd = nil
		return nil
	case <-time.After(endPatience):
		return errors.Join(fmt.Errorf("node %s did not end within %s", n.Name, endPatience), n.Kill())
	}
}
