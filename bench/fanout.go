package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	osexec "os/exec"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// deliveryPatience bounds how long an event may take to reach everybody.
	deliveryPatience = 2 * time.Minute
	deliveryPoll     = 5 * time.Millisecond
	// speeches is how many runs an audience listens to.
	speeches = 3
	// stillness lets what seating an audience left settle before memory is read.
	stillness = 3 * time.Second
)

// fanout seats subscribers on one thread's stream, and as many on a bare
// net/http server that is told to send the same at the same pace.
func (b *bench) fanout(ctx context.Context) error {
	t := measure.NewTable("subscribers of one stream", "what", "subscribers", "KiB each, silent", "ratio", "KiB each, after events",
		"events each", "p50 ms", "p95 ms", "max ms", "p50 ratio")
	for _, n := range []int{1, 1000, b.most} {
		if err := b.audience(ctx, t, n); err != nil {
			return errors.Join(err, t.Write(b.out))
		}
	}
	t.Note("KiB: growth of the server's resident memory for each subscriber; ms: from an event's own time, of 1 ms resolution, to its arrival, which for Bothy holds a commit")
	t.Note("subscribers, server and audience share this machine's cores; the audience alone opens %d files of the %s that it may", b.most, mostFiles())
	return t.Write(b.out)
}

// stage is a server with a stream.
type stage struct {
	pid           int
	address, path string
	key           string
	speak         func() error
	// begin runs what follows the silence; nil just runs it.
	begin func(talk func() error) error
}

// heard is what an audience measured.
type heard struct {
	silent, after int64 // bytes of the server for each subscriber
	events        int
	late          *measure.Samples
	script        []block
}

func (b *bench) audience(ctx context.Context, t *measure.Table, n int) error {
	var ours heard
	err := b.in(ctx, house.Shape{Nodes: 1, Memory: smallMemory}, func(h *house.House) error {
		c := h.Client(0)
		thread, err := c.Threads().Create(ctx, wire.CreateThread{Title: "fanout"})
		if err != nil {
			return fmt.Errorf("make a thread: %w", err)
		}
		// The first run makes what is made once.
		if err := speak(ctx, c, thread.ID); err != nil {
			return err
		}
		thread, err = c.Threads().Get(ctx, thread.ID)
		if err != nil {
			return err
		}
		begin := func(talk func() error) error { return b.watched(ctx, h.Nodes[0], talk) }
		ours, err = listen(ctx, n, stage{begin: begin, pid: h.Nodes[0].PID(), address: strings.TrimPrefix(h.Nodes[0].URL, "http://"), key: h.Key,
			path: fmt.Sprintf("/v1/threads/%s/events?after=%d", thread.ID, thread.LastEventID), speak: func() error { return speak(ctx, c, thread.ID) }})
		return err
	})
	if err != nil {
		return err
	}
	theirs, err := b.bareAudience(ctx, n, ours.script)
	if err != nil {
		return err
	}
	theirs.line(t, "net/http alone", n, nil)
	ours.line(t, "GET /v1/threads/:id/events", n, &theirs)
	return nil
}

func (h heard) line(t *measure.Table, what string, n int, peer *heard) {
	memory, late := "1 (peer)", "1 (peer)"
	if peer != nil {
		memory = measure.Ratio(float64(h.silent), float64(peer.silent))
		late = measure.Ratio(float64(h.late.Percentile(50)), float64(peer.late.Percentile(50)))
	}
	t.Line(what, fmt.Sprint(n), measure.KiB(h.silent), memory, measure.KiB(h.after), fmt.Sprint(h.events),
		measure.MS(h.late.Percentile(50)), measure.MS(h.late.Percentile(95)), measure.MS(h.late.Percentile(100)), late)
}

// speak runs a message that needs no computer.
func speak(ctx context.Context, c *client.Client, thread string) error {
	result, err := c.Run(ctx, client.Message{Thread: thread, Content: "Hello to everybody who listens."}, nil)
	if err == nil && result.Run.Status != "success" {
		err = fmt.Errorf("the run ended as %s: %s", result.Run.Status, result.Run.Error)
	}
	return err
}

// listen seats an audience, lets the server speak and measures both.
func listen(ctx context.Context, n int, s stage) (heard, error) {
	before, err := measure.UsageOf(s.pid)
	if err != nil {
		return heard{}, err
	}
	a, err := seat(ctx, n, s.address, s.path, s.key)
	if err != nil {
		return heard{}, err
	}
	h, err := a.hear(ctx, s, before)
	return h, errors.Join(err, a.leave())
}

func (a *audience) hear(ctx context.Context, s stage, before measure.Usage) (h heard, err error) {
	if err := pause(ctx, stillness); err != nil {
		return h, err
	}
	silent, err := measure.UsageOf(s.pid)
	if err != nil {
		return h, err
	}
	talk := func() error {
		for range speeches {
			if err := s.speak(); err != nil {
				return err
			}
		}
		return a.settle(ctx)
	}
	if s.begin == nil {
		s.begin = func(talk func() error) error { return talk() }
	}
	if err := s.begin(talk); err != nil {
		return h, err
	}
	after, err := measure.UsageOf(s.pid)
	n := int64(len(a.conns))
	return heard{(silent.RSS - before.RSS) / n, (after.RSS - before.RSS) / n, len(a.script()), &a.late, a.script()}, err
}

// settle waits until all have seen what the first has, and that is no longer
// growing.
func (a *audience) settle(ctx context.Context) error {
	for {
		each := len(a.script())
		if err := errors.Join(a.await(ctx, each), pause(ctx, stillness/10)); err != nil {
			return err
		}
		if each > 0 && each == len(a.script()) && a.arrived.Load() == int64(each)*int64(len(a.conns)) {
			return nil
		}
	}
}

// bareAudience listens to this program as a bare server, in a process of its
// own, which sends what a script says.
func (b *bench) bareAudience(ctx context.Context, n int, script []block) (heard, error) {
	self, err := os.Executable()
	if err != nil {
		return heard{}, err
	}
	ctx, cancel := context.WithCancel(ctx)
	cmd := osexec.CommandContext(ctx, self, bareStream)
	out, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		return heard{}, err
	}
	if err := cmd.Start(); err != nil {
		cancel()
		return heard{}, fmt.Errorf("start a bare server: %w", err)
	}
	defer func() { cancel(); _ = cmd.Wait() }() // killed: its error says so
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return heard{}, fmt.Errorf("start a bare server: %w", err)
	}
	address, _, _ := strings.Cut(strings.TrimSpace(line), " ")
	told := script
	return listen(ctx, n, stage{pid: cmd.Process.Pid, address: address, path: "/events", speak: func() error {
		part := told[:min(len(told), (len(script)+speeches-1)/speeches)]
		told = told[len(part):]
		return recite(ctx, address, part)
	}})
}

// recite publishes events at the pace they had.
func recite(ctx context.Context, address string, part []block) error {
	for i, e := range part {
		if i > 0 {
			if err := pause(ctx, e.at.Sub(part[i-1].at)); err != nil {
				return err
			}
		}
		reply, err := http.Post(fmt.Sprintf("http://%s/publish?bytes=%d", address, e.bytes), "", nil)
		if err != nil {
			return err
		}
		reply.Body.Close()
		if reply.StatusCode != http.StatusOK {
			return fmt.Errorf("the bare server answers %s", reply.Status)
		}
	}
	return nil
}
