package cluster

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/raft"
)

// journal is raft's log, with its writes measured and a place for a test's
// crash before it is truncated.
type journal struct {
	raft.LogStore
	wrote func(time.Duration)
	crash func(point string) error
}

// StoreLog is raft.LogStore's.
func (j journal) StoreLog(l *raft.Log) error { return j.StoreLogs([]*raft.Log{l}) }

// StoreLogs is raft.LogStore's.
func (j journal) StoreLogs(ls []*raft.Log) error {
	begun := time.Now()
	err := j.LogStore.StoreLogs(ls)
	j.wrote(time.Since(begun))
	return err
}

// DeleteRange is raft.LogStore's.
func (j journal) DeleteRange(lo, hi uint64) error {
	if err := j.crash("log: before truncation"); err != nil {
		return err
	}
	if err := j.LogStore.DeleteRange(lo, hi); err != nil {
		return err
	}
	return j.crash("log: truncated")
}

// IsMonotonic tells raft that the log must have no gaps.
func (j journal) IsMonotonic() bool {
	m, ok := j.LogStore.(raft.MonotonicLogStore)
	return ok && m.IsMonotonic()
}

// raftLogger passes raft's lines to a slog.Logger. What raft calls information
// is a detail here.
func raftLogger(to *slog.Logger, from string) hclog.Logger {
	return hclog.New(&hclog.LoggerOptions{
		Name: from, Level: hclog.Info, DisableTime: true,
		Output: raftLines{to.With("from", from), []byte(from + ": ")},
	})
}

type raftLines struct {
	to     *slog.Logger
	prefix []byte
}

var _ io.Writer = raftLines{}

// Write takes one line, which begins with its level in brackets.
func (l raftLines) Write(line []byte) (int, error) {
	level, text := slog.LevelDebug, bytes.TrimSpace(line)
	for mark, is := range map[string]slog.Level{"[ERROR]": slog.LevelWarn, "[WARN]": slog.LevelInfo, "[INFO]": slog.LevelDebug} {
		if rest, ok := bytes.CutPrefix(text, []byte(mark)); ok {
			level, text = is, bytes.TrimSpace(rest)
		}
	}
	l.to.Log(context.Background(), level, string(bytes.TrimPrefix(text, l.prefix)))
	return len(line), nil
}
