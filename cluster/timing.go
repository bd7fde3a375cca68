package cluster

import (
	"errors"
	"time"
)

// Timing is every interval that the cluster's promises rest on. The zero value
// of a field is its default.
type Timing struct {
	// Heartbeat is how long a follower hears nothing before it asks for an
	// election; Election how long one may take; Quorum how long a leader goes
	// on without a majority.
	Heartbeat, Election, Quorum time.Duration
	// Commit bounds how late a follower learns that a lone entry is committed.
	// 0 is max(5 ms, 1 ms for each node).
	Commit time.Duration

	// Renew is how often a lease is renewed. From before the renewal was sent
	// that the leader acknowledged, the holder acts for Act, its computers run
	// until Freeze, and it counts as the holder for Hold. The leader expires it
	// Expire after it applied the renewal.
	Renew, Act, Freeze, Hold, Expire time.Duration

	// NoLeader is how long a read waits for a leader, Patience how long a
	// command does.
	NoLeader, Patience time.Duration
	// VoterDead is how long a voter is silent before it is replaced.
	VoterDead time.Duration
	// Duty is how often the leader looks at leases, voters and moves.
	Duty time.Duration
	// Sweep is how often the leader looks for records past their time.
	Sweep time.Duration
	// Settle is how long after a new secrets key what the one before it sealed is
	// still taken.
	Settle time.Duration
}

// DefaultTiming is what DESIGN.md promises with.
func DefaultTiming() Timing {
	return Timing{
		Heartbeat: 500 * time.Millisecond, Election: 500 * time.Millisecond, Quorum: 300 * time.Millisecond,
		Renew: 2 * time.Second, Act: 8 * time.Second, Freeze: 9 * time.Second,
		Hold: 10 * time.Second, Expire: 11 * time.Second,
		NoLeader: 2 * time.Second, Patience: 5 * time.Second,
		VoterDead: time.Minute, Duty: 250 * time.Millisecond, Sweep: 10 * time.Second, Settle: 10 * time.Second,
	}
}

// orDefault fills in what is not set.
func (t Timing) orDefault() Timing {
	d := DefaultTiming()
	for _, f := range []struct {
		have *time.Duration
		def  time.Duration
	}{
		{&t.Heartbeat, d.Heartbeat}, {&t.Election, d.Election}, {&t.Quorum, d.Quorum},
		{&t.Renew, d.Renew}, {&t.Act, d.Act}, {&t.Freeze, d.Freeze}, {&t.Hold, d.Hold}, {&t.Expire, d.Expire},
		{&t.NoLeader, d.NoLeader}, {&t.Patience, d.Patience}, {&t.VoterDead, d.VoterDead}, {&t.Duty, d.Duty}, {&t.Sweep, d.Sweep}, {&t.Settle, d.Settle},
	} {
		if *f.have == 0 {
			*f.have = f.def
		}
	}
	return t
}

// check refuses times with which two nodes could act for one lease.
func (t Timing) check() error {
	if !(t.Renew < t.Act && t.Act < t.Freeze && t.Freeze < t.Hold && t.Hold < t.Expire) {
		return errors.New("lease times must be ordered: renew < act < freeze < hold < expire")
	}
	if t.Quorum > t.Heartbeat {
		return errors.New("a leader without a majority must step down within the heartbeat timeout")
	}
	return nil
}

const (
	minCommit     = 5 * time.Millisecond
	commitPerNode = time.Millisecond
)

// commitFor is the commit timeout in a cluster of n nodes: each node costs the
// leader a message in that time, so it grows with them.
func (t Timing) commitFor(n int) time.Duration {
	if t.Commit != 0 {
		return t.Commit
	}
	return max(minCommit, time.Duration(n)*commitPerNode)
}
