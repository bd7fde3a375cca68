package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// drainStreams threads stream and drainTerminals programs print while a node
	// drains; they share drainHomes computers.
	drainStreams   = 50
	drainTerminals = 20
	drainHomes     = 24
	// terminalPace is how often a terminal's program prints a line.
	terminalPace = "0.1"
	// cutPause is before a terminal that was cut tries again.
	cutPause = 100 * time.Millisecond
	// drainPatience bounds how long a node may take to drain.
	drainPatience = 3 * time.Minute
	drainPoll     = 100 * time.Millisecond
)

// drain empties the node with most computers while threads stream and terminals
// print, and says what each client saw.
func (b *bench) drain(ctx context.Context) error {
	t := measure.Latencies(fmt.Sprintf("%d threads that stream and %d busy terminals on %d computers, while one of three nodes drains", drainStreams, drainTerminals, drainHomes))
	vendor, base, err := vendorOf(recital)
	if err != nil {
		return err
	}
	defer vendor.Close()
	saves, err := os.MkdirTemp(b.base, "bothy-bench-saves-")
	if err != nil {
		return err
	}
	shape := house.Shape{Nodes: 3, Memory: smallMemory, Vendor: base + "/v1", Saves: filepath.Join(saves, "store")}
	err = b.in(ctx, shape, func(h *house.House) error { return drained(ctx, h, t) })
	return errors.Join(err, os.RemoveAll(saves), t.Write(b.out))
}

// onlooker is one client, and what it has seen.
type onlooker struct {
	mu      sync.Mutex
	last    time.Time
	silence time.Duration // the longest
	heard   int
	cuts    []string // how its connection ended, each time
}

func (o *onlooker) hear() {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if o.heard > 0 {
		o.silence = max(o.silence, now.Sub(o.last))
	}
	o.last, o.heard = now, o.heard+1
}

func (o *onlooker) cut(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := "its stream ended"
	if err != nil {
		text = err.Error()
	}
	o.cuts = append(o.cuts, text)
}

// begin forgets the silence of the beginning.
func (o *onlooker) begin() (heard bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.silence = 0
	return o.heard > 0
}

// Write hears a terminal's lines.
func (o *onlooker) Write(p []byte) (int, error) {
	if bytes.ContainsRune(p, '\n') {
		o.hear()
	}
	return len(p), nil
}

func drained(ctx context.Context, h *house.House, t *measure.Table) error {
	var homes []wire.Environment
	for i := range drainHomes {
		env, err := h.Client(i%len(h.Nodes)).Environments().Create(ctx, wire.WriteEnvironment{Name: wire.Some(fmt.Sprintf("home %d", i))})
		if err != nil {
			return fmt.Errorf("make an environment: %w", err)
		}
		homes = append(homes, env)
	}
	printing, stop := context.WithCancel(ctx)
	defer stop()
	var terminals sync.WaitGroup
	at := make([]*onlooker, drainTerminals)
	for i := range at {
		at[i] = &onlooker{}
		terminals.Go(func() { at[i].watch(printing, h, i, homes[i].ComputerID) })
	}
	if err := allHeard(ctx, at); err != nil {
		return fmt.Errorf("open the terminals: %w", err)
	}
	listeners := make([]*onlooker, drainStreams)
	for i := range listeners {
		listeners[i] = &onlooker{}
	}
	spoken := make(chan *measure.Samples, 1)
	go func() {
		all, _ := measure.AtOnce(drainStreams, func(i int) error { return listeners[i].follow(ctx, h, i, homes[i%drainHomes].ID) })
		spoken <- all
	}()
	if err := allHeard(ctx, listeners); err != nil {
		return fmt.Errorf("begin the streams: %w", err)
	}
	name, on, err := fullest(ctx, h)
	if err != nil {
		return err
	}
	took, err := empty(ctx, h, name)
	if err != nil {
		return err
	}
	all := <-spoken
	stop()
	terminals.Wait()
	if err := all.FirstFailure(); err != nil {
		return fmt.Errorf("a stream: %w", err)
	}
	tell(t, listeners, at)
	t.Note("%s had %d of the %d computers up and was empty after %s ms; runs leave it between two steps, and the vendor's reply is %s long", name, on, drainHomes, measure.MS(took), speechTokens*speechPace)
	return nil
}

// watch keeps a terminal open: cut, it is opened again.
func (o *onlooker) watch(ctx context.Context, h *house.House, i int, computer string) {
	for n := i; ctx.Err() == nil; n++ {
		_, err := h.Client(n%len(h.Nodes)).Computers().Exec(ctx, computer,
			wire.Exec{Argv: []string{"sh", "-c", "while :; do date; sleep " + terminalPace + "; done"}}, nil, o, o)
		if ctx.Err() != nil {
			return
		}
		o.cut(err)
		_ = pause(ctx, cutPause)
	}
}

// follow has a thread speak and hears all of it.
func (o *onlooker) follow(ctx context.Context, h *house.House, i int, environment string) error {
	l := &listener{newest: &measure.Samples{}, oldest: &measure.Samples{}}
	r, err := h.ClientOf(append(h.Nodes[i%len(h.Nodes):len(h.Nodes):len(h.Nodes)], h.Nodes[:i%len(h.Nodes)]...)...).Run(ctx,
		client.Message{Environment: environment, Model: house.VendorModel, Content: "Speak."}, func(e client.Event) error {
			if e.Type == wire.ContentPartDelta {
				o.hear()
			}
			return l.see(e)
		})
	switch {
	case err != nil:
		return err
	case r.Run.Status != "success":
		return fmt.Errorf("the run ended as %s: %s", r.Run.Status, r.Run.Error)
	case l.tokens < speechTokens:
		return fmt.Errorf("%d tokens came of %d", l.tokens, speechTokens)
	}
	return nil
}

func allHeard(ctx context.Context, all []*onlooker) error {
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	for _, o := range all {
		for !o.begin() {
			if err := pause(ctx, drainPoll); err != nil {
				return err
			}
		}
	}
	for _, o := range all {
		o.begin()
	}
	return nil
}

// fullest is the node that owns most computers.
func fullest(ctx context.Context, h *house.House) (name string, computers int, err error) {
	status, err := h.Alive().Status(ctx)
	for _, n := range status.Nodes {
		if n.Computers > computers {
			name, computers = n.Name, n.Computers
		}
	}
	return name, computers, err
}

// empty drains a node and says how long that took.
func empty(ctx context.Context, h *house.House, name string) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, drainPatience)
	defer cancel()
	begun := time.Now()
	d, err := h.Alive().DrainNode(ctx, name)
	for err == nil && !d.Done {
		if err = pause(ctx, drainPoll); err == nil {
			d, err = h.Alive().Drain(ctx, name)
		}
	}
	if err != nil {
		return 0, fmt.Errorf("drain %s: %w; %d computers, %d runs are left: %v", name, err, d.Computers, d.Runs, d.Departures)
	}
	return time.Since(begun), nil
}

func tell(t *measure.Table, streams, terminals []*onlooker) {
	for _, kind := range []struct {
		name string
		all  []*onlooker
	}{{"streams", streams}, {"terminals", terminals}} {
		var still, moved measure.Samples
		words := map[string]int{}
		for _, o := range kind.all {
			if len(o.cuts) == 0 {
				still.Add(o.silence)
				continue
			}
			moved.Add(o.silence)
			for _, w := range o.cuts {
				words[w]++
			}
		}
		t.Compare("longest silence of "+kind.name+" that were not cut", &still, nil)
		if n, _ := moved.Count(); n > 0 {
			t.Compare("longest silence of "+kind.name+" that were cut and opened again", &moved, nil)
		}
		for w, n := range words {
			t.Note("%s: %d times cut or refused with: %.160s", kind.name, n, w)
		}
	}
	t.Note("every stream came to its end with every token in order")
}
