package cluster

import (
	"fmt"
	"path/filepath"
	"time"

	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/store"
)

const (
	// maxAppendEntries bounds the entries in one message to a follower.
	maxAppendEntries = 64
	// cachedEntries is how many of the newest entries stay in memory for
	// followers; each is at most state.MaxEntryBytes and most are far smaller.
	cachedEntries = 256
	// raftPool is how many idle connections raft keeps to each node.
	raftPool = 3
	// raftTimeout bounds one message between rafts.
	raftTimeout = 5 * time.Second
	// snapshotEvery is how often raft looks whether a snapshot is due.
	snapshotEvery = 30 * time.Second
)

// openRaft starts raft on the transport, the log and the shelf.
func (c *Cluster) openRaft(shelf *store.Shelf) error {
	logger := raftLogger(c.log, "raft")
	dir := filepath.Join(c.identity.Dir(), "raft")
	journal, err := wal.Open(dir, wal.WithLogger(raftLogger(c.log, "wal")))
	if err != nil {
		return fmt.Errorf("open the log in %s: %w", dir, err)
	}
	c.journal = journal
	if err := c.hearFrom(journal); err != nil {
		return err
	}
	cache, err := raft.NewLogCache(cachedEntries, journalOf(c, journal))
	if err != nil {
		return fmt.Errorf("open the log's cache: %w", err)
	}
	c.links = raft.NewNetworkTransportWithConfig(&raft.NetworkTransportConfig{
		Stream: c.transport.RaftLayer(), MaxPool: raftPool, Timeout: raftTimeout, Logger: logger,
	})
	conf := raft.DefaultConfig()
	conf.LocalID = raft.ServerID(c.self)
	conf.HeartbeatTimeout, conf.ElectionTimeout = c.timing.Heartbeat, c.timing.Election
	conf.LeaderLeaseTimeout = c.timing.Quorum
	conf.CommitTimeout = c.timing.commitFor(len(c.roster.all()))
	conf.MaxAppendEntries = maxAppendEntries
	conf.TrailingLogs, conf.SnapshotThreshold = c.o.TrailingEntries, c.o.SnapshotEntries
	conf.SnapshotInterval = snapshotEvery
	conf.NotifyCh = c.leads
	conf.Logger = logger
	conf.NoSnapshotRestoreOnStart = true // the store knows its own index; catchUp
	conf.NoLegacyTelemetry = true
	conf.ShutdownOnRemove = false
	if c.raft, err = raft.NewRaft(conf, c.fsm, cache, journal, snapshots{shelf}, raftLinks{c.links}); err != nil {
		return fmt.Errorf("start raft: %w", err)
	}
	return nil
}

// hearFrom reads which members the log names beyond what the records say. It
// holds until the records have caught up with the log as it is now.
func (c *Cluster) hearFrom(journal *wal.WAL) error {
	applied, err := c.store.AppliedIndex()
	if err != nil {
		return err
	}
	first, err := journal.FirstIndex()
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	last, err := journal.LastIndex()
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	nodes := map[state.NodeID]state.Node{}
	for i := max(first, applied+1); i <= last && first > 0; i++ {
		var entry raft.Log
		if err := journal.GetLog(i, &entry); err != nil {
			return fmt.Errorf("read entry %d of the log: %w", i, err)
		}
		if entry.Type != raft.LogCommand {
			continue
		}
		if err := state.Announce(entry.Data, nodes); err != nil {
			return fmt.Errorf("entry %d: %w", i, err)
		}
	}
	if len(nodes) == 0 {
		return nil
	}
	c.roster.announce(nodes)
	c.work.Go(func() {
		if c.fsm.applied.wait(c.ctx, last) == nil {
			c.roster.announce(nil)
		}
	})
	return nil
}

func journalOf(c *Cluster, w *wal.WAL) journal {
	return journal{LogStore: w, crash: c.o.Crash, wrote: func(d time.Duration) { c.metrics.log.Observe(d.Seconds()) }}
}
