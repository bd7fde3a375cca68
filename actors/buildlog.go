package actors

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// logRoom is kept free of a build's output, for how it ended.
	logRoom = 4 << 10
	// cutText ends the log of a build that says more than is kept.
	cutText = "\n... the log is longer than is kept; the rest is left out\n"
)

// buildLog commits what a build says, as it says it. Writers wait while too
// much is not committed yet.
type buildLog struct {
	cluster Cluster
	build   state.BuildID
	epoch   state.Epoch
	flushed sync.WaitGroup
	life    context.Context
	end     context.CancelFunc

	mu    sync.Mutex
	room  *sync.Cond // something was committed, or nothing will be any more
	ready chan struct{}
	text  []byte
	left  int64 // that may be said yet
	cut   bool
	next  uint64 // seq of the next piece
	fatal error  // why nothing is committed any more
}

// newBuildLog goes on after what an earlier try has said.
func newBuildLog(c Cluster, b state.Build) *buildLog {
	l := &buildLog{cluster: c, build: b.ID, epoch: b.Epoch, next: b.LogSeq + 1, left: state.MaxBuildLogBytes - logRoom - b.LogBytes, ready: make(chan struct{}, 1)}
	l.room = sync.NewCond(&l.mu)
	l.life, l.end = context.WithCancel(context.Background())
	l.flushed.Go(l.stream)
	return l
}

// Write adds to the log. It fails when the log can be written no more, so that
// whatever writes ends.
func (l *buildLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.text) > maxPending && l.fatal == nil {
		l.room.Wait()
	}
	if l.fatal != nil {
		return 0, l.fatal
	}
	kept := p
	if int64(len(kept)) > l.left {
		kept = kept[:max(0, l.left)]
		if !l.cut {
			l.cut = true
			kept = append(kept[:len(kept):len(kept)], cutText...)
		}
	}
	l.left -= int64(len(kept))
	l.text = append(l.text, kept...)
	signal(l.ready)
	return len(p), nil
}

// say adds a line that is always kept.
func (l *buildLog) say(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.text) > 0 && l.text[len(l.text)-1] != '\n' {
		l.text = append(l.text, '\n')
	}
	l.text = append(l.text, line[:min(len(line), logRoom/4)]+"\n"...)
	signal(l.ready)
}

// stream commits what gathers, the first at once and the next after a pause.
func (l *buildLog) stream() {
	for {
		select {
		case <-l.ready:
		case <-l.life.Done():
			return
		}
		if err := l.flush(l.life); err != nil {
			return
		}
		select {
		case <-time.After(minFlush):
		case <-l.life.Done():
			return
		}
	}
}

// flush commits what there is, in as many pieces as it needs. One flush goes
// on at a time.
func (l *buildLog) flush(ctx context.Context) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.text) > 0 && l.fatal == nil {
		n := min(len(l.text), maxPieces*maxPieceBytes)
		if n < len(l.text) {
			if cut := runeCut(string(l.text[:n]), n); cut > 0 {
				n = cut
			}
		}
		texts := pieces(string(l.text[:n]))
		seq := l.next
		l.text = l.text[n:]
		l.mu.Unlock()
		_, err := l.cluster.Apply(ctx, state.AppendBuildLog{Build: l.build, Epoch: l.epoch, FirstSeq: seq, Texts: texts})
		l.mu.Lock()
		if err != nil {
			// Whether it was applied is not clear, so the next could not be numbered.
			l.fatal = fmt.Errorf("append to the log of build %s: %w", l.build, err)
		}
		l.next = seq + uint64(len(texts))
		l.room.Broadcast()
	}
	return l.fatal
}

// pieces cuts a text into pieces of what one may hold.
func pieces(text string) (all []string) {
	for len(text) > 0 {
		n := len(text)
		if n > maxPieceBytes {
			if n = runeCut(text, maxPieceBytes); n == 0 {
				n = maxPieceBytes
			}
		}
		all = append(all, strings.ToValidUTF8(text[:n], "?"))
		text = text[n:]
	}
	return all
}

// close commits the rest.
func (l *buildLog) close(ctx context.Context) error {
	l.end()
	l.flushed.Wait()
	return l.flush(ctx)
}

// abandon gives up what is not committed.
func (l *buildLog) abandon() {
	l.end()
	l.flushed.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == nil {
		l.fatal = errSuperseded
	}
	l.room.Broadcast()
}
