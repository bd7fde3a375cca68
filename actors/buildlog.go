package actors

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// logRoom is kept free of a build's output, for how it ended.
	logRoom = 4 << 10
	// cutText ends the log of a build that says more than is kept.
	cutText = "\n... the log is longer than is kept; the rest is left out\n"
)

// errLogEnded is what who writes to a log is told after its end.
var errLogEnded = errors.New("the log has ended")

// buildLog commits what a build says, as it says it. Writers wait while too
// much is not committed yet. close or abandon ends it.
type buildLog struct {
	cluster Cluster
	build   state.BuildID
	epoch   state.Epoch
	ctx     context.Context // what commits are bounded by
	cancel  context.CancelFunc
	ended   chan struct{} // closed when nothing more gathers
	streams sync.WaitGroup

	mu    sync.Mutex
	room  *sync.Cond // something was committed, or nothing will be any more
	ready chan struct{}
	text  []byte
	left  int64 // that may be said yet
	cut   bool
	open  bool   // the newest line has no end yet
	next  uint64 // seq of the next piece
	fatal error  // why nothing is taken any more
}

// newBuildLog goes on after what an earlier try has said, until ctx ends.
func newBuildLog(ctx context.Context, c Cluster, b state.Build) *buildLog {
	l := &buildLog{cluster: c, build: b.ID, epoch: b.Epoch, next: b.LogSeq + 1, left: state.MaxBuildLogBytes - logRoom - b.LogBytes,
		ready: make(chan struct{}, 1), ended: make(chan struct{})}
	l.room = sync.NewCond(&l.mu)
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.streams.Go(l.stream)
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
	l.add(string(kept))
	return len(p), nil
}

// add is for those who hold mu.
func (l *buildLog) add(text string) {
	if text == "" {
		return
	}
	l.text = append(l.text, text...)
	l.open = !strings.HasSuffix(text, "\n")
	signal(l.ready)
}

// say adds a line that is always kept.
func (l *buildLog) say(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open {
		line = "\n" + line
	}
	l.add(line[:runeCut(line, min(len(line), logRoom/4))] + "\n")
}

// stream commits what gathers, the first at once and the next after a pause.
func (l *buildLog) stream() {
	for {
		select {
		case <-l.ready:
		case <-l.ended:
			return
		case <-l.ctx.Done():
			l.refuse(context.Cause(l.ctx))
			return
		}
		if err := l.flush(heldBack); err != nil {
			return
		}
		select {
		case <-time.After(minFlush):
		case <-l.ended:
			return
		case <-l.ctx.Done():
		}
	}
}

// refuse has writers told why nothing is taken any more, those who wait too.
func (l *buildLog) refuse(why error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fatal == nil {
		l.fatal = why
	}
	l.room.Broadcast()
}

// ending says what a flush does with a letter of which only the beginning was
// written.
type ending bool

const (
	heldBack ending = false // its rest comes with the next write
	asIs     ending = true  // there is no next write
)

// flush commits what there is, in as many pieces as it needs. One flush goes
// on at a time.
func (l *buildLog) flush(last ending) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.fatal == nil {
		n := batchOf(l.text, last)
		if n == 0 {
			return nil
		}
		texts := pieces(string(l.text[:n]))
		seq := l.next
		l.text = l.text[n:]
		l.mu.Unlock()
		err := l.commit(seq, texts)
		l.mu.Lock()
		if err != nil && l.fatal == nil {
			// Whether it was applied may not be clear, so the next could not be numbered.
			l.fatal = fmt.Errorf("append to the log of build %s: %w", l.build, err)
		}
		l.next = seq + uint64(len(texts))
		l.room.Broadcast()
	}
	return l.fatal
}

func (l *buildLog) commit(seq uint64, texts []string) error {
	return outlast(l.ctx, l.cluster, state.AppendBuildLog{Build: l.build, Epoch: l.epoch, FirstSeq: seq, Texts: texts}, func(v *state.View) (bool, error) {
		b, ok, err := v.AnyBuild(l.build)
		return ok && b.Epoch == l.epoch && b.LogSeq == seq+uint64(len(texts))-1, err
	})
}

// batchOf is how many bytes of a text go into one command.
func batchOf(text []byte, last ending) int {
	n := min(len(text), maxPieces*maxPieceBytes)
	if n == len(text) && last == asIs {
		return n
	}
	for i := n - 1; i >= max(0, n-utf8.UTFMax); i-- {
		if !utf8.RuneStart(text[i]) {
			continue
		}
		if !utf8.FullRune(text[i:n]) {
			return i
		}
		break
	}
	return n
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
func (l *buildLog) close() error {
	close(l.ended)
	l.streams.Wait()
	err := l.flush(asIs)
	l.refuse(errLogEnded)
	l.cancel()
	return err
}

// abandon gives up what is not committed. After close it does nothing.
func (l *buildLog) abandon() {
	l.cancel()
	l.streams.Wait()
	l.refuse(errSuperseded)
}
