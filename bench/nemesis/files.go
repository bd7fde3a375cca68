package nemesis

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"time"

	clusterfault "github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	filePace = time.Second
	// saveEvery is after how many writes a computer is saved on demand.
	saveEvery = 10
	// execPatience bounds one command in a computer.
	execPatience = 20 * time.Second
)

// installed is a program outside of the workspace, which every write installs
// where it is missing.
const installed = "/usr/local/bin/installed"

// files count in a file of each home's workspace. What was acknowledged as saved
// must never be older again.
type files struct {
	p        *game
	counters []*counter

	mu                  sync.Mutex
	writes, reads, lost int
	saved               int
	wrong               []error
}

// counter is what is known of a home: the newest number that was sent, the newest
// that is there as far as anybody was told, and the newest that was saved.
type counter struct {
	at                 home
	sent, there, floor int
}

func newFiles(p *game, homes []home) *files {
	w := &files{p: p}
	for _, at := range homes {
		w.counters = append(w.counters, &counter{at: at})
	}
	return w
}

func (w *files) work(ctx context.Context) {
	var all sync.WaitGroup
	for _, k := range w.counters {
		all.Go(func() { w.count(ctx, k) })
	}
	all.Wait()
}

func (w *files) count(ctx context.Context, k *counter) {
	for n := 1; sleep(ctx, filePace) == nil; n++ {
		switch {
		case n%saveEvery == 0:
			w.save(k)
		case n%3 == 0:
			_ = w.read(k) // what cannot be asked now is asked again, and judged at the end
		default:
			w.write(k)
		}
	}
}

func (w *files) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *files) write(k *counter) {
	k.sent++
	script := fmt.Sprintf("echo %d > count.new && mv count.new count; [ -x %s ] || { printf '#!/bin/sh\\necho here\\n' > %[2]s && chmod 755 %[2]s; }", k.sent, installed)
	if _, err := w.run(k, script); err == nil {
		k.there = k.sent
		w.note(func() { w.writes++ })
	}
}

func (w *files) save(k *counter) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	there := k.there
	if _, err := w.p.admin.Computers().Save(ctx, k.at.computer); err == nil {
		k.floor = max(k.floor, there)
		w.note(func() { w.saved++ })
	}
}

// read holds the file against what is known. The error is one of asking.
func (w *files) read(k *counter) error {
	out, err := w.run(k, "cat count 2>/dev/null || echo 0; "+installed+" 2>/dev/null || echo gone")
	if err != nil {
		return err
	}
	word, program, _ := strings.Cut(strings.TrimSpace(out), "\n")
	got, err := strconv.Atoi(word)
	wrong := ""
	switch {
	case err != nil:
		wrong = fmt.Sprintf("the file holds %q", out)
	case got > k.sent:
		wrong = fmt.Sprintf("the file holds %d, and %d is the last that was written", got, k.sent)
	case got < k.floor:
		wrong = fmt.Sprintf("the file holds %d, and %d was saved", got, k.floor)
	case k.floor > 0 && program != "here":
		wrong = "what was installed and saved is gone"
	}
	w.note(func() {
		w.reads++
		if got < k.there {
			w.lost++
		}
		if wrong != "" {
			w.wrong = append(w.wrong, fmt.Errorf("computer %s: %s", k.at.computer, wrong))
		}
	})
	k.there = got
	return nil
}

func (w *files) run(k *counter, script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	node := w.p.house.Nodes[rand.IntN(len(w.p.house.Nodes))]
	exit, err := w.p.house.ClientOf(node).Computers().Exec(ctx, k.at.computer,
		wire.Exec{Argv: []string{"sh", "-c", script}, Dir: "/workspace", User: "root", TimeoutMS: execPatience.Milliseconds()}, nil, &out, &errs)
	if f := (*clusterfault.Error)(nil); errors.As(err, &f) && f.Code == state.CodeNotRunning { // its disk was lost before it was ever saved
		_, started := w.p.admin.Computers().Start(ctx, k.at.computer)
		return "", errors.Join(err, started)
	}
	if err == nil && exit.Code != 0 {
		err = fmt.Errorf("exit code %d: %s", exit.Code, errs.String())
	}
	return out.String(), err
}

func (w *files) judge(ctx context.Context) (string, error) {
	for _, k := range w.counters {
		err := w.read(k)
		for err != nil && sleep(ctx, time.Second) == nil {
			err = w.read(k)
		}
		if err != nil {
			w.wrong = append(w.wrong, fmt.Errorf("computer %s cannot be used again: %w", k.at.computer, err))
		}
	}
	seen := fmt.Sprintf("%d writes, %d reads, %d saves on demand; %d times what came after a save was lost with its node", w.writes, w.reads, w.saved, w.lost)
	if w.p.gentle && w.lost > 0 {
		w.wrong = append(w.wrong, fmt.Errorf("%d times what was acknowledged was gone, and no node was lost", w.lost))
	}
	if w.reads == 0 || w.saved == 0 {
		w.wrong = append(w.wrong, errors.New("too little was done to say anything"))
	}
	return seen, errors.Join(w.wrong...)
}
