package fake

import (
	"context"
	"fmt"
	"net"
	"net/http"

	"github.com/bothy-computer/bothy/runtime"
)

// Guest implements runtime.Guester: the script's Answer plays the guest.
func (d *Driver) Guest(ctx context.Context, epoch runtime.Epoch, id runtime.ID) (way http.RoundTripper, err error) {
	guest, _ := d.opts.Script.listeners()
	err = d.call(ctx, Call{Op: Guest, ID: id, Epoch: epoch}, func() error {
		if guest == nil {
			return fmt.Errorf("%w: nobody plays the guest", runtime.ErrUnsupported)
		}
		if _, err := d.inLife(epoch, id); err != nil {
			return err
		}
		way = guest(id)
		return nil
	})
	return way, err
}

// Dial implements runtime.Dialer: the script's Listen plays what listens. The
// connection ends with the computer's life.
func (d *Driver) Dial(ctx context.Context, epoch runtime.Epoch, id runtime.ID, port uint16) (conn net.Conn, err error) {
	_, dial := d.opts.Script.listeners()
	err = d.call(ctx, Call{Op: Dial, ID: id, Epoch: epoch}, func() error {
		life, err := d.inLife(epoch, id)
		if err != nil {
			return err
		}
		if dial == nil {
			return fmt.Errorf("port %d: %w", port, runtime.ErrRefused)
		}
		if conn, err = dial(ctx, id, port); err != nil {
			return err
		}
		context.AfterFunc(life, func() { conn.Close() })
		return nil
	})
	return conn, err
}

// Listen implements runtime.Listener on this machine's own loopback, which is
// what local commands see.
func (d *Driver) Listen(ctx context.Context, epoch runtime.Epoch, id runtime.ID) (listener net.Listener, err error) {
	err = d.call(ctx, Call{Op: Listen, ID: id, Epoch: epoch}, func() error {
		life, err := d.inLife(epoch, id)
		if err != nil {
			return err
		}
		if listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
			return err
		}
		context.AfterFunc(life, func() { listener.Close() })
		return nil
	})
	return listener, err
}

// Shelved implements runtime.Shelver.
func (d *Driver) Shelved(name string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.programs[name]
}

// Shelve implements runtime.Shelver, of names only.
func (d *Driver) Shelve(_ context.Context, name, _, _ string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.programs[name] = true
	return nil
}

// Display implements runtime.Displayer: the script's Show says where.
func (d *Driver) Display(ctx context.Context, epoch runtime.Epoch, id runtime.ID) (port uint16, err error) {
	err = d.call(ctx, Call{Op: Display, ID: id, Epoch: epoch}, func() error {
		if _, err := d.inLife(epoch, id); err != nil {
			return err
		}
		if port = d.opts.Script.shown(); port == 0 {
			return fmt.Errorf("%w: its image has no desktop", runtime.ErrUnsupported)
		}
		return nil
	})
	return port, err
}
