package nemesis

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	threadSteps = 12
	// threadPace is between two runs of a home.
	threadPace = time.Second
	// threadPatience bounds one run, with every fault that may fall into it.
	threadPatience = 3 * time.Minute
)

// threads are runs that somebody follows to their end, at whichever node answers,
// and replays from the beginning after. In each home one goes on at a time: in
// turn a program of the script model, and words of a model that costs money.
type threads struct {
	p     *game
	homes []home

	mu              sync.Mutex
	ended, refused  int
	events, resumed int
	wrong           []error
}

func newThreads(p *game, homes []home) *threads { return &threads{p: p, homes: homes} }

func (w *threads) work(ctx context.Context) {
	var all sync.WaitGroup
	for i, at := range w.homes {
		all.Go(func() {
			for n := i; sleep(ctx, threadPace) == nil; n++ {
				w.one(n, at)
			}
		})
	}
	all.Wait()
}

// program is a run of some steps that go on where they were cut.
func program() string {
	var b strings.Builder
	for i := range threadSteps {
		fmt.Fprintf(&b, "```bash retry\nsleep 0.3; echo step %d\n```\n\n", i)
	}
	return b.String()
}

// heard is what one follower was told of an event.
type heard struct {
	seq  uint64
	what string
}

func hear(e client.Event) heard {
	item := e.ItemID
	if e.Item != nil {
		item = e.Item.ID + " " + e.Item.Status
	}
	return heard{e.Seq, e.Type + " " + item}
}

func (w *threads) one(n int, at home) {
	ctx, cancel := context.WithTimeout(context.Background(), threadPatience)
	defer cancel()
	c := w.p.through(n % len(w.p.house.Nodes))
	m := client.Message{Environment: at.environment, Content: program(), Model: "script"}
	if n%2 == 1 {
		m.Content, m.Model = "Speak.", house.PricedModel
	}
	var live []heard
	r, err := c.Run(ctx, m, func(e client.Event) error {
		if e.Seq > 0 { // what the request itself was answered is not in the log
			live = append(live, hear(e))
		}
		return nil
	})
	if r.Thread == "" { // it never began, as far as anybody was told
		w.note(func() { w.refused++ })
		_ = sleep(ctx, time.Second)
		return
	}
	if err != nil {
		w.note(func() { w.wrong = append(w.wrong, fmt.Errorf("thread %s: its stream ended: %w", r.Thread, err)) })
		return
	}
	err = w.compare(ctx, c, r, live)
	w.note(func() {
		w.ended, w.events = w.ended+1, w.events+len(live)
		if err != nil {
			w.wrong = append(w.wrong, fmt.Errorf("thread %s: %w", r.Thread, err))
		}
	})
}

func (w *threads) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// compare holds what was heard against the log as it stands.
func (w *threads) compare(ctx context.Context, c *client.Client, r client.Result, live []heard) error {
	if r.Run.Status != "success" {
		return fmt.Errorf("the run is %s: %s", r.Run.Status, r.Run.Error)
	}
	var log []heard
	if err := c.Replay(ctx, r.Thread, 0, func(e client.Event) error { log = append(log, hear(e)); return nil }); err != nil {
		return fmt.Errorf("replay it: %w", err)
	}
	for i, e := range log {
		if i > 0 && e.seq < log[i-1].seq {
			return fmt.Errorf("the log has event %d after %d", e.seq, log[i-1].seq)
		}
	}
	inLog := map[heard]int{}
	for _, e := range log {
		inLog[e]++
	}
	last := uint64(0)
	for _, e := range live {
		if e.seq < last {
			return fmt.Errorf("event %d came after %d", e.seq, last)
		}
		last = e.seq
		inLog[e]--
		if inLog[e] < 0 && !strings.HasPrefix(e.what, wire.StreamCompleted) {
			return fmt.Errorf("event %d (%s) came more often than the log has it", e.seq, e.what)
		}
	}
	for e, n := range inLog {
		if n > 0 && !strings.HasPrefix(e.what, wire.StreamCompleted) {
			return fmt.Errorf("event %d (%s) is in the log and never came", e.seq, e.what)
		}
	}
	return nil
}

func (w *threads) judge(context.Context) (string, error) {
	seen := fmt.Sprintf("%d runs to their ends, %d refused; %d events, each once and in order", w.ended, w.refused, w.events)
	if w.ended == 0 {
		w.wrong = append(w.wrong, errors.New("no run came to its end"))
	}
	return seen, errors.Join(w.wrong...)
}
