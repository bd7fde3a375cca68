package bare

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
	wal "github.com/hashicorp/raft-wal"
)

const (
	// voters is how many nodes agree.
	voters = 3
	// logCache is how many entries each keeps in memory for its followers.
	logCache = 4096
	// raftPatience bounds what raft is asked for.
	raftPatience = 10 * time.Second
	// electionPoll is how often a leader is looked for.
	electionPoll = 5 * time.Millisecond
)

// RaftOptions are the intervals that Bothy sets too.
type RaftOptions struct {
	Dir                                 string
	Commit, Heartbeat, Election, Quorum time.Duration
}

// Raft is three voters in this process, over TCP, each with its log on disk.
type Raft struct {
	nodes []*voter
	logs  []*wal.WAL
}

// voter is one of them; its state machine only counts.
type voter struct {
	*raft.Raft
	transport *raft.NetworkTransport
	applied   atomic.Uint64
	seen      chan uint64 // applied indexes, as far as somebody reads them
}

// OpenRaft starts the voters and waits for a leader.
func OpenRaft(o RaftOptions) (*Raft, error) {
	r := &Raft{}
	var config raft.Configuration
	for i := range voters {
		v, server, err := r.open(o, i)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		r.nodes = append(r.nodes, v)
		config.Servers = append(config.Servers, server)
	}
	if err := r.nodes[0].BootstrapCluster(config).Error(); err != nil {
		return nil, errors.Join(fmt.Errorf("bootstrap bare raft: %w", err), r.Close())
	}
	if _, err := r.leader(); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

func (r *Raft) open(o RaftOptions, i int) (*voter, raft.Server, error) {
	dir := filepath.Join(o.Dir, strconv.Itoa(i))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, raft.Server{}, fmt.Errorf("open bare raft: %w", err)
	}
	log, err := wal.Open(dir)
	if err != nil {
		return nil, raft.Server{}, fmt.Errorf("open bare raft: %w", err)
	}
	r.logs = append(r.logs, log)
	cached, err := raft.NewLogCache(logCache, log)
	if err != nil {
		return nil, raft.Server{}, fmt.Errorf("open bare raft: %w", err)
	}
	transport, err := raft.NewTCPTransportWithLogger("127.0.0.1:0", nil, voters, raftPatience, hclog.NewNullLogger())
	if err != nil {
		return nil, raft.Server{}, fmt.Errorf("open bare raft: %w", err)
	}
	c := raft.DefaultConfig()
	c.LocalID = raft.ServerID(strconv.Itoa(i))
	c.Logger, c.NoLegacyTelemetry = hclog.NewNullLogger(), true
	c.MaxAppendEntries, c.BatchApplyCh = 512, true
	c.SnapshotThreshold = 1 << 40 // none: the log alone is measured
	c.CommitTimeout, c.HeartbeatTimeout, c.ElectionTimeout, c.LeaderLeaseTimeout = o.Commit, o.Heartbeat, o.Election, o.Quorum
	v := &voter{transport: transport, seen: make(chan uint64, 1)}
	if v.Raft, err = raft.NewRaft(c, v, cached, log, raft.NewInmemSnapshotStore(), transport); err != nil {
		return nil, raft.Server{}, errors.Join(fmt.Errorf("open bare raft: %w", err), transport.Close())
	}
	return v, raft.Server{ID: c.LocalID, Address: transport.LocalAddr()}, nil
}

func (r *Raft) leader() (*voter, error) {
	for deadline := time.Now().Add(raftPatience); time.Now().Before(deadline); time.Sleep(electionPoll) {
		for _, v := range r.nodes {
			if v.State() == raft.Leader {
				return v, nil
			}
		}
	}
	return nil, errors.New("bare raft has no leader")
}

// Write commits one entry.
func (r *Raft) Write(entry []byte) error {
	leader, err := r.leader()
	if err != nil {
		return err
	}
	return leader.Raft.Apply(entry, raftPatience).Error()
}

// WriteSeen commits one entry and waits until a follower has applied it.
func (r *Raft) WriteSeen(entry []byte) (acknowledged, seen time.Duration, err error) {
	leader, err := r.leader()
	if err != nil {
		return 0, 0, err
	}
	follower := r.nodes[0]
	if follower == leader {
		follower = r.nodes[1]
	}
	begun := time.Now()
	f := leader.Raft.Apply(entry, raftPatience)
	if err := f.Error(); err != nil {
		return 0, 0, err
	}
	acknowledged = time.Since(begun)
	for follower.applied.Load() < f.Index() {
		select {
		case <-follower.seen:
		case <-time.After(raftPatience):
			return 0, 0, errors.New("a follower of bare raft does not apply")
		}
	}
	return acknowledged, time.Since(begun), nil
}

// LoseLeader ends the leader without a farewell and returns when another one
// has taken a write.
func (r *Raft) LoseLeader(entry []byte) (time.Duration, error) {
	leader, err := r.leader()
	if err != nil {
		return 0, err
	}
	begun := time.Now()
	leader.transport.CloseStreams()
	if err := leader.transport.Close(); err != nil {
		return 0, fmt.Errorf("cut off bare raft's leader: %w", err)
	}
	stopped := leader.Shutdown()
	r.nodes = without(r.nodes, leader)
	for {
		if err := r.Write(entry); err == nil {
			return time.Since(begun), stopped.Error()
		} else if time.Since(begun) > raftPatience {
			return 0, err
		}
	}
}

func without(all []*voter, gone *voter) (left []*voter) {
	for _, v := range all {
		if v != gone {
			left = append(left, v)
		}
	}
	return left
}

// Close ends the voters.
func (r *Raft) Close() error {
	var errs []error
	for _, v := range r.nodes {
		errs = append(errs, v.Shutdown().Error(), v.transport.Close())
		v.transport.CloseStreams() // pooled connections, which keep the others' readers
	}
	for _, l := range r.logs {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// Apply implements raft.FSM.
func (v *voter) Apply(l *raft.Log) any {
	v.applied.Store(l.Index)
	select {
	case v.seen <- l.Index:
	default:
	}
	return nil
}

// ApplyBatch implements raft.BatchingFSM.
func (v *voter) ApplyBatch(ls []*raft.Log) []any {
	for _, l := range ls {
		v.Apply(l)
	}
	return make([]any, len(ls))
}

// Snapshot implements raft.FSM; there is nothing to keep.
func (v *voter) Snapshot() (raft.FSMSnapshot, error) { return empty{}, nil }

// Restore implements raft.FSM.
func (v *voter) Restore(from io.ReadCloser) error { return from.Close() }

type empty struct{}

func (empty) Persist(to raft.SnapshotSink) error { return to.Close() }
func (empty) Release()                           {}
