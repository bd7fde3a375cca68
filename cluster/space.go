package cluster

import (
	"context"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// spaceEvery is how often the free room on disk is looked at.
	spaceEvery = time.Second
	// abdicateEvery is how often at most a leader without room lets another
	// lead: when all are full, the lead must not go round and round.
	abdicateEvery = time.Minute
)

// watchSpace keeps full up to date: while it is set, commands that need room
// are refused, and a leader lets another node lead.
func (c *Cluster) watchSpace(ctx context.Context) {
	abdicated := time.Time{}
	for ctx.Err() == nil {
		full, err := c.outOfSpace()
		if err != nil {
			c.log.Warn("reading the free disk space failed", "err", err)
		} else if was := c.full.Swap(full); full && !was {
			c.log.Error("the disk is nearly full: commands are refused until there is room", "min_free_bytes", c.o.MinFreeBytes)
		} else if was && !full {
			c.log.Info("there is room on the disk again")
		}
		if r := c.reign.Load(); full && r != nil && len(c.roster.all()) > 2 && time.Since(abdicated) > abdicateEvery {
			abdicated = time.Now()
			r.abdicate()
		}
		pause(ctx, spaceEvery)
	}
}

func (c *Cluster) outOfSpace() (bool, error) {
	if c.store.Full() {
		return true, nil
	}
	if c.o.MinFreeBytes == 0 {
		return false, nil
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(c.identity.Dir(), &fs); err != nil {
		return false, err
	}
	return int64(fs.Bavail)*fs.Bsize < c.o.MinFreeBytes, nil
}
