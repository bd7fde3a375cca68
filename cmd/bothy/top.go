package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// topEvery is how often nodes and computers are asked for, for which there is
	// no stream; runs are drawn as their events come.
	topEvery    = 2 * time.Second
	minTopEvery = 200 * time.Millisecond
	// topFastest bounds how often a frame is drawn because of events.
	topFastest = 200 * time.Millisecond
	// topRows bounds the computers and runs that are asked for.
	topRows = 100
	// maxFollowed bounds the runs whose events are followed at once.
	maxFollowed = 20
	// topBacklog is how many events before now a run is first shown by.
	topBacklog = 20
)

// What a terminal is told to show a whole screen and to go back.
const (
	screenOpen  = "\x1b[?1049h\x1b[?25l"
	screenClose = "\x1b[?25h\x1b[?1049l"
	screenHome  = "\x1b[H"
	lineRest    = "\x1b[K"
	screenRest  = "\x1b[J"
)

func newTop(t *terminal) *cobra.Command {
	var once bool
	var every time.Duration
	cmd := &cobra.Command{
		Use: "top", Short: "Watch nodes, computers and runs, live", Args: cobra.NoArgs,
		Long: `Watch nodes, computers and runs. Nodes are the whole cluster's; computers and runs
are those of the key's account, each run with what it is doing now. q ends it.
Where the output is no terminal, or with --once, one frame is printed.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if every < minTopEvery {
				return usage("--every %s: it is at least %s", every, minTopEvery)
			}
			c, err := t.client()
			if err != nil {
				return err
			}
			top := newTopper(c)
			if once || !t.tty {
				return top.print(cmd.Context(), t)
			}
			return top.watch(cmd.Context(), t, every)
		},
	}
	cmd.Flags().BoolVar(&once, "once", false, "print one frame and end")
	cmd.Flags().DurationVar(&every, "every", topEvery, "how often nodes and computers are asked for")
	return cmd
}

// topper gathers what is shown. Its methods but follow are of one goroutine.
type topper struct {
	client *client.Client
	seen   topSeen

	mu      sync.Mutex
	doing   map[string]*activity          // by thread
	follows map[string]context.CancelFunc // by thread
	moved   chan struct{}                 // an event has come
}

// topSeen is what a frame is drawn of.
type topSeen struct {
	Status    wire.ClusterStatus       `json:"status"`
	Computers wire.List[wire.Computer] `json:"computers"`
	Runs      wire.List[wire.Thread]   `json:"runs"`
}

func newTopper(c *client.Client) *topper {
	return &topper{client: c, doing: map[string]*activity{}, follows: map[string]context.CancelFunc{}, moved: make(chan struct{}, 1)}
}

// ask asks for everything anew.
func (p *topper) ask(ctx context.Context) (err error) {
	var seen topSeen
	if seen.Status, err = p.client.Status(ctx); err != nil {
		return err
	}
	if seen.Computers, err = p.client.Computers().List(ctx, "", client.Page{Limit: topRows}); err != nil {
		return err
	}
	if seen.Runs, err = p.client.Threads().List(ctx, client.ThreadFilter{Status: "running"}, client.Page{Limit: topRows}); err != nil {
		return err
	}
	p.seen = seen
	return nil
}

// print writes one frame, or as JSON what it would show.
func (p *topper) print(ctx context.Context, t *terminal) error {
	if err := p.ask(ctx); err != nil {
		return err
	}
	if t.format == formatJSON {
		return t.print(p.seen)
	}
	for _, line := range p.frame(time.Now(), nil).lines(onceWidth, onceHeight) {
		if _, err := fmt.Fprintln(t.out, line); err != nil {
			return err
		}
	}
	return nil
}

// watch draws frames until q, an interrupt or ctx ends it.
func (p *topper) watch(ctx context.Context, t *terminal, every time.Duration) (err error) {
	if err := p.ask(ctx); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	restore, err := keys(t, stop)
	if err != nil {
		return err
	}
	defer restore()
	fmt.Fprint(t.out, screenOpen)
	defer fmt.Fprint(t.out, screenClose)
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, syscall.SIGWINCH)
	defer signal.Stop(resized)
	tick := time.NewTicker(every)
	defer tick.Stop()
	var trouble error
	for {
		p.follow(ctx)
		if err := p.draw(t, trouble); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			trouble = p.ask(ctx)
		case <-resized:
		case <-p.moved:
			if !rest(ctx, topFastest) {
				return nil
			}
		}
	}
}

func (p *topper) draw(t *terminal, trouble error) error {
	width, height := onceWidth, onceHeight
	if out, ok := t.out.(*os.File); ok {
		if w, h, err := term.GetSize(int(out.Fd())); err == nil {
			width, height = w, h
		}
	}
	text := screenHome
	for _, line := range p.frame(time.Now(), trouble).lines(width, height) {
		text += line + lineRest + "\r\n"
	}
	_, err := fmt.Fprint(t.out, text[:len(text)-len("\r\n")]+screenRest)
	return err
}

// keys reads the keyboard, one key at a time: q and ^C stop. What it returns
// puts the terminal back.
func keys(t *terminal, stop func()) (restore func(), err error) {
	in, ok := t.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return func() {}, nil
	}
	was, err := term.MakeRaw(int(in.Fd()))
	if err != nil {
		return nil, fmt.Errorf("read single keys: %w", err)
	}
	go func() {
		key := make([]byte, 1)
		for {
			if _, err := in.Read(key); err != nil || key[0] == 'q' || key[0] == 'Q' || key[0] == 3 {
				stop()
				return
			}
		}
	}()
	return func() { _ = term.Restore(int(in.Fd()), was) }, nil
}

// follow follows the events of the runs that are seen, and no others.
func (p *topper) follow(ctx context.Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	running := map[string]bool{}
	for _, thread := range p.seen.Runs.Data {
		running[thread.ID] = true
		if p.follows[thread.ID] != nil || len(p.follows) >= maxFollowed {
			continue
		}
		following, cancel := context.WithCancel(ctx)
		p.follows[thread.ID] = cancel
		after := thread.LastEventID - min(thread.LastEventID, topBacklog)
		go func() {
			// A stream that fails is no trouble: the run is listed all the same.
			_ = p.client.Follow(following, thread.ID, after, func(e client.Event) error {
				p.hear(thread.ID, e.Event)
				return nil
			})
		}()
	}
	for id, cancel := range p.follows {
		if !running[id] {
			cancel()
			delete(p.follows, id)
			delete(p.doing, id)
		}
	}
}

func (p *topper) hear(thread string, e wire.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.follows[thread] == nil {
		return
	}
	if p.doing[thread] == nil {
		p.doing[thread] = &activity{}
	}
	if !p.doing[thread].hear(e) {
		return
	}
	select {
	case p.moved <- struct{}{}:
	default: // a frame is due already
	}
}

// now is what a run is doing, as far as its events have told.
func (p *topper) now(thread string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a := p.doing[thread]; a != nil {
		return a.line
	}
	return ""
}
