package container

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/idmap"
	"github.com/bothy-computer/bothy/runtime/network"
)

// linkOf is the number of a computer's link: that of its range of ids, which
// no other computer of this machine has.
func linkOf(r record) int { return (r.Range.Host - idmap.FirstHost) / idmap.RangeSize }

// SetEgress implements runtime.Networker.
func (d *Driver) SetEgress(ctx context.Context, epoch runtime.Epoch, id runtime.ID, e runtime.Egress) error {
	e, err := checkEgress(e)
	if err != nil {
		return fmt.Errorf("set egress of %s: %w", id, err)
	}
	r, release, err := d.admit(ctx, epoch, id)
	if err != nil {
		return err
	}
	defer release()
	r.Spec.Egress = e
	if err := d.applyEgress(ctx, id, r); err != nil {
		return fmt.Errorf("set egress of %s: %w", id, err)
	}
	return d.save(id, r)
}

// Refuse says which addresses no computer may reach, whatever its rules,
// besides private ones and this machine's networks: those of other nodes.
func (d *Driver) Refuse(ctx context.Context, addrs []netip.Addr) error {
	var blocks []netip.Prefix
	for _, addr := range addrs {
		addr = addr.Unmap()
		blocks = append(blocks, netip.PrefixFrom(addr.WithZone(""), addr.BitLen()))
	}
	return d.net.Refuse(ctx, blocks)
}

// Inside implements runtime.Border.
func (d *Driver) Inside(addr netip.Addr) (bool, error) { return d.net.Inside(addr) }

// checkEgress brings rules into their one form.
func checkEgress(e runtime.Egress) (runtime.Egress, error) {
	return runtime.ParseEgress(e.Allowed, e.Allow, e.Deny)
}

// applyEgress makes the link and its rules follow the spec.
func (d *Driver) applyEgress(ctx context.Context, id runtime.ID, r record) error {
	f, err := d.look(id, r)
	if err != nil || f.pid == 0 {
		return err
	}
	if err := d.writeResolv(id, r); err != nil {
		return err
	}
	if r.Spec.Egress.Allowed {
		return d.net.Attach(ctx, linkOf(r), f.pid, r.Spec.Egress)
	}
	d.observe(id, r) // the counter goes with the link
	return d.net.Detach(ctx, linkOf(r))
}

// takeUpEgress has the network know the computers that an earlier node left
// running: their rules hold without it, but names are not resolved.
func (d *Driver) takeUpEgress() {
	ids, err := d.ids()
	if err != nil {
		d.Log.Error("take up the network of computers", "err", err)
		return
	}
	for _, id := range ids {
		if d.life.Err() != nil {
			return
		}
		if err := d.takeUpOne(id); err != nil && d.life.Err() == nil {
			d.Log.Error("take up the network of a computer", "computer", string(id), "err", err)
		}
	}
}

func (d *Driver) takeUpOne(id runtime.ID) error {
	if isBlank(id) {
		return nil
	}
	release, err := d.locks.take(d.life, string(id))
	if err != nil {
		return err
	}
	defer release()
	r, err := d.load(id)
	if errors.Is(err, runtime.ErrNotFound) {
		return nil
	}
	if err != nil || !r.Started || !r.Spec.Egress.Allowed {
		return err
	}
	return d.applyEgress(d.life, id, r)
}

// writeResolv fills the file that a computer sees as /etc/resolv.conf. It is
// changed in place, since a bind mount stays with the file it was made of.
func (d *Driver) writeResolv(id runtime.ID, r record) error {
	text := ""
	if r.Spec.Egress.Allowed {
		text = network.ResolvConf(linkOf(r))
	}
	path := d.path(id, resolvFile)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write name servers: %w", err)
	}
	return os.Chmod(path, 0o644) // whatever the umask
}
