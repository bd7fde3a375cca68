package members

import (
	"bytes"
	"context"
	"log"
	"log/slog"
)

// newLogger makes the library's logger write to a slog.Logger, at the level
// that stands in brackets before each of its lines.
func newLogger(to *slog.Logger) *log.Logger { return log.New(lines{to}, "", 0) }

type lines struct{ to *slog.Logger }

var levels = []struct {
	mark  []byte
	level slog.Level
}{
	// The library warns of what gossip expects to happen: a node that does not
	// answer, a late packet. Here these are details.
	{[]byte("[DEBUG] "), slog.LevelDebug},
	{[]byte("[INFO] "), slog.LevelDebug},
	{[]byte("[WARN] "), slog.LevelInfo},
	{[]byte("[ERR] "), slog.LevelWarn},
	{[]byte("[ERROR] "), slog.LevelWarn},
}

// Write takes one line.
func (l lines) Write(line []byte) (int, error) {
	level, text := slog.LevelInfo, bytes.TrimSpace(line)
	for _, known := range levels {
		if rest, ok := bytes.CutPrefix(text, known.mark); ok {
			level, text = known.level, rest
			break
		}
	}
	l.to.Log(context.Background(), level, string(bytes.TrimPrefix(text, []byte("memberlist: "))), "from", "gossip")
	return len(line), nil
}
