package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hashicorp/raft"
)

const (
	// maxLogBytes is how large the log may grow before a snapshot is taken and
	// it is cut short, however few entries it has.
	maxLogBytes = 1 << 30
	// shortTrail is how many entries stay in a log that grew too large.
	shortTrail = 128
	// logSizeEvery is how often the log's size is looked at.
	logSizeEvery = 10 * time.Second
)

// boundLog keeps the log's size on disk in bounds: raft by itself counts only
// its entries.
func (c *Cluster) boundLog(ctx context.Context) {
	dir := filepath.Join(c.identity.Dir(), "raft")
	for ; ctx.Err() == nil; pause(ctx, logSizeEvery) {
		bytes, err := logBytes(dir)
		if err == nil && bytes > maxLogBytes {
			err = c.cutLog()
		}
		if err != nil {
			c.log.Warn("keeping the log in bounds failed; it is tried again", "err", err)
		}
	}
}

// cutLog takes a snapshot that leaves few entries behind.
func (c *Cluster) cutLog() error {
	usual := c.raft.ReloadableConfig()
	short := usual
	short.TrailingLogs = min(usual.TrailingLogs, shortTrail)
	if err := c.raft.ReloadConfig(short); err != nil {
		return fmt.Errorf("shorten the log: %w", err)
	}
	defer c.restoreTrail(usual)
	return c.Snapshot()
}

func (c *Cluster) restoreTrail(usual raft.ReloadableConfig) {
	if err := c.raft.ReloadConfig(usual); err != nil {
		c.log.Warn("the log stays shorter than usual", "err", err)
	}
}

// logBytes is the size of the log's segments.
func logBytes(dir string) (total int64, err error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	for _, f := range files {
		if !strings.HasSuffix(f.Name(), ".wal") {
			continue
		}
		if info, err := f.Info(); err == nil { // one that is gone counts nothing
			total += info.Size()
		}
	}
	return total, nil
}
