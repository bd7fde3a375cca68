package container

import (
	"context"
	"fmt"
	"os"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/network"
)

// linkOf is the number of a computer's link: that of its range of ids, which
// no other computer of this machine has.
func linkOf(r record) int { return (r.Range.Host - idmap.FirstHost) / idmap.RangeSize }

// SetEgress implements runtime.Networker. For a computer that does not run it
// holds from the next Start on.
func (d *Driver) SetEgress(ctx context.Context, epoch runtime.Epoch, id runtime.ID, allowed bool) error {
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	r.Spec.Egress = allowed
	if err := d.applyEgress(ctx, id, r); err != nil {
		return fmt.Errorf("set egress of %s: %w", id, err)
	}
	return d.save(id, r)
}

// applyEgress makes the link follow the spec.
func (d *Driver) applyEgress(ctx context.Context, id runtime.ID, r record) error {
	f, err := d.look(id, r)
	if err != nil || f.pid == 0 {
		return err
	}
	if err := d.writeResolv(id, r.Spec.Egress); err != nil {
		return err
	}
	if r.Spec.Egress {
		return d.net.Attach(ctx, linkOf(r), f.pid)
	}
	d.observe(id, r) // the counter goes with the link
	return d.net.Detach(ctx, linkOf(r))
}

// writeResolv fills the file that a computer sees as /etc/resolv.conf. It is
// changed in place, since a bind mount stays with the file it was made of.
func (d *Driver) writeResolv(id runtime.ID, egress bool) error {
	text := ""
	if egress {
		text = network.ResolvConf()
	}
	path := d.path(id, resolvFile)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write name servers: %w", err)
	}
	return os.Chmod(path, 0o644) // whatever the umask
}
