package cluster

import (
	"context"
	"fmt"
	"io"

	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/cluster/backup"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Backup writes an encrypted backup of the records, with everything that was
// acknowledged before the call, and of the cluster's keys. The cluster goes on
// meanwhile. Recipients are as backup.CheckRecipients takes them. One is taken at
// a time on a node: another is a Conflict.
func (c *Cluster) Backup(ctx context.Context, recipients []string, w io.Writer) error {
	if err := backup.CheckRecipients(recipients); err != nil {
		return err
	}
	if !c.archiving.TryLock() {
		return fault.New(fault.Conflict, "a backup is being taken on this node already")
	}
	defer c.archiving.Unlock()
	v, err := c.Read(ctx)
	if err != nil {
		return err
	}
	record, _, err := v.Cluster()
	v.Close()
	if err != nil {
		return err
	}
	if err := c.auditBackup(ctx); err != nil {
		return err
	}
	keys, err := c.identity.Portable()
	if err != nil {
		return err
	}
	h := backup.Header{Cluster: record.ID, TakenAt: c.clock.Now().UTC(), Build: c.addrs.Version, Keys: keys}
	err = backup.Write(w, recipients, h, func(w io.Writer) error {
		return c.shelf.Archive("backup-"+uuid.NewString(), untilDone{ctx, w})
	})
	if err != nil {
		return fmt.Errorf("take a backup: %w", err)
	}
	return nil
}

// auditBackup records who takes a backup, which then holds that record too. One
// that cannot be recorded is not taken, but for a disk that is full: that is
// when it may be needed.
func (c *Cluster) auditBackup(ctx context.Context) error {
	use := state.Use{Action: state.BackupTake, Resource: state.Resource{Kind: "backup"}, By: state.CauseOf(ctx), Count: 1}
	_, err := c.Apply(ctx, state.RecordUses{Uses: []state.Use{use}})
	if fault.Is(err, fault.Full) || fault.Is(err, fault.Unsupported) {
		c.log.Warn("a backup is taken and not audited", "key", string(use.By.Key), "err", err)
		return nil
	}
	return err
}

// untilDone is a writer that ends with a context.
type untilDone struct {
	ctx context.Context
	w   io.Writer
}

func (u untilDone) Write(p []byte) (int, error) {
	if err := context.Cause(u.ctx); err != nil {
		return 0, err
	}
	return u.w.Write(p)
}
