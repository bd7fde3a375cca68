package container

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest"
	"github.com/bothy-computer/bothy/runtime/network"
)

// guests keeps a client for each computer that was spoken to, since a
// connection costs more than a short command. Entries go when a life ends.
type guests struct {
	dir *os.File // of all computers, kept open

	mu  sync.Mutex
	all map[runtime.ID]*guest.Client
}

func openGuests(computers string) (*guests, error) {
	dir, err := os.Open(computers)
	if err != nil {
		return nil, fmt.Errorf("open computers: %w", err)
	}
	return &guests{dir: dir, all: map[runtime.ID]*guest.Client{}}, nil
}

// of finds the computer's client. Its socket is named through an open
// directory, because the name of a unix socket may not be longer than 107
// bytes and a data directory may lie deep.
func (g *guests) of(id runtime.ID) *guest.Client {
	g.mu.Lock()
	defer g.mu.Unlock()
	c := g.all[id]
	if c == nil {
		c = guest.Dial(fmt.Sprintf("/proc/self/fd/%d/%s/%s", g.dir.Fd(), id, socketFile))
		g.all[id] = c
	}
	return c
}

// forget drops the client of a life that has ended.
func (g *guests) forget(id runtime.ID) {
	g.mu.Lock()
	c := g.all[id]
	delete(g.all, id)
	g.mu.Unlock()
	if c != nil {
		_ = c.Close() // closes idle connections only, and says nothing
	}
}

func (g *guests) close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	for id, c := range g.all {
		_ = c.Close()
		delete(g.all, id)
	}
	return g.dir.Close()
}

// Exec implements runtime.Execer. It holds no lock while the command runs: a
// Stop ends the command, and Exec then returns runtime.ErrNotRunning.
func (d *Driver) Exec(ctx context.Context, epoch runtime.Epoch, id runtime.ID, cmd runtime.Cmd) (runtime.Exit, error) {
	if err := d.mayExec(ctx, epoch, id); err != nil {
		return runtime.Exit{Code: -1}, err
	}
	begun := time.Now()
	exit, err := d.guests.of(id).Exec(ctx, cmd)
	d.metrics.exec.Observe(time.Since(begun).Seconds())
	if err == nil || ctx.Err() != nil {
		return exit, err
	}
	if st, lookErr := d.Inspect(context.WithoutCancel(ctx), id); lookErr == nil && st.Phase != runtime.Running {
		return exit, fmt.Errorf("exec in %s: %w: %w", id, runtime.ErrNotRunning, err)
	}
	return exit, fmt.Errorf("exec in %s: %w", id, err)
}

func (d *Driver) mayExec(ctx context.Context, epoch runtime.Epoch, id runtime.ID) error {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	st, err := d.status(id, r)
	if err != nil {
		return err
	}
	if st.Phase != runtime.Running {
		return fmt.Errorf("exec in %s, which is %s: %w", id, st.Phase, runtime.ErrNotRunning)
	}
	return nil
}

// Guest implements runtime.Guester.
func (d *Driver) Guest(ctx context.Context, epoch runtime.Epoch, id runtime.ID) (http.RoundTripper, error) {
	if err := d.mayExec(ctx, epoch, id); err != nil {
		return nil, err
	}
	return d.guests.of(id), nil
}

// loopbacks are where programs listen that are not meant for other machines.
// Many listen on only one of the two.
var loopbacks = []string{"127.0.0.1", "::1"}

// Dial implements runtime.Dialer. The lock is held only until the computer's
// network is open: a listener inside that never answers holds up nobody else.
func (d *Driver) Dial(ctx context.Context, epoch runtime.Epoch, id runtime.ID, port uint16) (net.Conn, error) {
	inside, err := d.enter(ctx, epoch, id)
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	var errs []error
	for _, host := range loopbacks {
		conn, err := inside.Dial(ctx, net.JoinHostPort(host, strconv.Itoa(int(port))))
		if err == nil {
			return conn, nil
		}
		errs = append(errs, err)
	}
	err = errors.Join(errs...)
	if errors.Is(errs[0], syscall.ECONNREFUSED) {
		err = fmt.Errorf("%w: %w", runtime.ErrRefused, err)
	}
	return nil, fmt.Errorf("connect to port %d of %s: %w", port, id, err)
}

// Listen implements runtime.Listener.
func (d *Driver) Listen(ctx context.Context, epoch runtime.Epoch, id runtime.ID) (net.Listener, error) {
	inside, err := d.enter(ctx, epoch, id)
	if err != nil {
		return nil, err
	}
	defer inside.Close()
	listener, err := inside.Listen()
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", id, err)
	}
	return listener, nil
}

func (d *Driver) enter(ctx context.Context, epoch runtime.Epoch, id runtime.ID) (network.Namespace, error) {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return network.Namespace{}, err
	}
	defer release()
	st, err := d.status(id, r)
	if err != nil {
		return network.Namespace{}, err
	}
	if st.Phase != runtime.Running {
		return network.Namespace{}, fmt.Errorf("connect to %s, which is %s: %w", id, st.Phase, runtime.ErrNotRunning)
	}
	return network.OpenNamespace(st.PID)
}
