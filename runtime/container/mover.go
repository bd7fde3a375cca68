package container

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/snapshot"
)

// Inbox is where other machines send disks; *snapshot.Inbox is one.
type Inbox interface {
	http.Handler
	restorer
	Forget(ctx context.Context, id runtime.ID, last time.Time) error
	Sent(ctx context.Context, visit func(runtime.ID, time.Time) error) error
}

var errNoInbox = fmt.Errorf("%w: it takes no disks from other machines", runtime.ErrUnsupported)

// SendSnapshot implements runtime.Mover. It holds no computer's lock: what it
// reads nobody writes to.
func (d *Driver) SendSnapshot(ctx context.Context, of runtime.Source, base string, way http.RoundTripper) (runtime.Saved, error) {
	to, err := snapshot.Outbox(ctx, way)
	if err != nil {
		return runtime.Saved{}, fmt.Errorf("send %s of %s: %w", of.Name, of.Computer, err)
	}
	if base != "" { // it may have been deleted there, which only that machine knows
		if _, err = to.Manifest(ctx, runtime.Save{Computer: of.Computer, Name: base}); errors.Is(err, runtime.ErrNoSave) {
			base = ""
		} else if err != nil {
			return runtime.Saved{}, fmt.Errorf("send %s of %s: %w", of.Name, of.Computer, err)
		}
	}
	return d.saveTo(ctx, to, of, base)
}

// Inbox implements runtime.Mover.
func (d *Driver) Inbox() http.Handler {
	if d.Options.Inbox == nil {
		return nil
	}
	return d.Options.Inbox
}

// ForgetSent implements runtime.Mover.
func (d *Driver) ForgetSent(ctx context.Context, id runtime.ID, last time.Time) error {
	if d.Options.Inbox == nil {
		return nil
	}
	return d.Options.Inbox.Forget(ctx, id, last)
}

// SentComputers implements runtime.Mover.
func (d *Driver) SentComputers(ctx context.Context, visit func(runtime.ID, time.Time) error) error {
	if d.Options.Inbox == nil {
		return nil
	}
	return d.Options.Inbox.Sent(ctx, visit)
}
