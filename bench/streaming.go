package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// streamingThreads is how many threads stream at once.
	streamingThreads = 500
	// streamingHomes is how many computers they are of, so that every node owns some.
	streamingHomes = 30
	// speechPace and speechTokens are a vendor's reply: as fast as a large model
	// speaks, for as long as it takes to have all of them speak at once.
	speechPace   = 50 * time.Millisecond
	speechTokens = 500
	// streamingPatience bounds how long all may take, beside the speech itself.
	streamingPatience = 3 * time.Minute
)

// streaming has many threads stream a vendor's reply at once, each to a client of
// its own, and times how old text is when it comes. Each token holds the moment
// at which the vendor sent it.
func (b *bench) streaming(ctx context.Context) error {
	n := b.count(streamingThreads)
	t := measure.Latencies(fmt.Sprintf("text of %d threads that stream at once, a token each %s, three nodes", n, speechPace))
	vendor, base, err := vendorOf(recital)
	if err != nil {
		return err
	}
	defer vendor.Close()
	ctx, cancel := context.WithTimeout(ctx, streamingPatience+speechTokens*speechPace)
	defer cancel()
	direct, err := overheard(ctx, n, base)
	if err != nil {
		return err
	}
	err = b.in(ctx, house.Shape{Nodes: 3, Memory: smallMemory, Vendor: base + "/v1"}, func(h *house.House) error {
		homes, err := environments(ctx, h)
		if err != nil {
			return err
		}
		return b.speeches(ctx, h, t, homes, n, direct)
	})
	t.Note("from the vendor's sending of a token; a piece of text holds the tokens of 100 ms to 1 s, and is committed on three nodes before it is sent")
	t.Note("vendor, clients and nodes share this machine's cores")
	return errors.Join(err, t.Write(b.out))
}

// recital is a vendor's reply of which each token is the time when it left.
func recital(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "text/event-stream")
	to := http.NewResponseController(w)
	pace := time.NewTicker(speechPace)
	defer pace.Stop()
	for range speechTokens {
		fmt.Fprintf(w, `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"%d "},"finish_reason":null}]}`+"\n\n", time.Now().UnixNano())
		if to.Flush() != nil {
			return
		}
		select {
		case <-pace.C:
		case <-r.Context().Done():
			return
		}
	}
	fmt.Fprintf(w, `data: {"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`+"\n\n"+
		`data: {"id":"c","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":%d}}`+"\n\ndata: [DONE]\n\n", speechTokens)
}

// overheard is the same streams from the vendor itself.
func overheard(ctx context.Context, n int, base string) (*measure.Samples, error) {
	var late measure.Samples
	all, _ := measure.AtOnce(n, func(int) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, base, strings.NewReader("{}"))
		if err != nil {
			return err
		}
		reply, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer reply.Body.Close()
		lines := bufio.NewScanner(reply.Body)
		for lines.Scan() {
			if _, rest, ok := strings.Cut(lines.Text(), `"content":"`); ok {
				at, _, _ := strings.Cut(rest, " ")
				if err := age(at, &late); err != nil {
					return err
				}
			}
		}
		return lines.Err()
	})
	return &late, all.FirstFailure()
}

// age notes how old a token is.
func age(token string, into *measure.Samples) error {
	at, err := strconv.ParseInt(token, 10, 64)
	if err != nil {
		return fmt.Errorf("a token that is no time: %w", err)
	}
	into.Add(time.Since(time.Unix(0, at)))
	return nil
}

// listener takes the text of one thread, and what it says of its order.
type listener struct {
	newest, oldest *measure.Samples
	tokens         int
	half           string // a token that a piece was cut in
	seq            uint64
}

func (l *listener) see(e client.Event) error {
	if e.Seq < l.seq {
		return fmt.Errorf("event %d came after %d", e.Seq, l.seq)
	}
	l.seq = max(l.seq, e.Seq)
	if e.Type != wire.ContentPartDelta || e.Delta == nil {
		return nil
	}
	words := strings.Split(l.half+e.Delta.Text, " ")
	l.half, words = words[len(words)-1], words[:len(words)-1]
	l.tokens += len(words)
	if len(words) == 0 {
		return nil
	}
	return errors.Join(age(words[0], l.oldest), age(words[len(words)-1], l.newest))
}

// speeches has all threads speak, and reads what it cost the nodes.
func (b *bench) speeches(ctx context.Context, h *house.House, t *measure.Table, homes []string, n int, direct *measure.Samples) error {
	var newest, oldest measure.Samples
	var mu sync.Mutex
	events := uint64(0)
	leader, others, err := h.Leader(ctx)
	if err != nil {
		return err
	}
	before, err := costs(ctx, append(others, leader))
	if err != nil {
		return err
	}
	all, took := measure.AtOnce(n, func(i int) error {
		l := &listener{newest: &newest, oldest: &oldest}
		r, err := h.Client(i%len(h.Nodes)).Run(ctx, client.Message{Environment: homes[i%len(homes)], Model: house.VendorModel, Content: "Speak."}, l.see)
		switch {
		case err != nil:
			return err
		case r.Run.Status != "success":
			return fmt.Errorf("the run ended as %s: %s", r.Run.Status, r.Run.Error)
		case l.tokens != speechTokens:
			return fmt.Errorf("%d tokens came of %d", l.tokens, speechTokens)
		}
		mu.Lock()
		defer mu.Unlock()
		events += l.seq
		return nil
	})
	if err := all.FirstFailure(); err != nil {
		return err
	}
	after, err := costs(ctx, append(others, leader))
	if err != nil {
		return err
	}
	t.Compare("an event: the newest token that it holds", &newest, direct)
	t.Compare("text: the oldest token of each event", &oldest, direct)
	t.Compare("peer: the tokens from the vendor directly, to as many clients", direct, direct)
	t.Note("p99: %s ms of the newest token, %s of the oldest, %s from the vendor directly", measure.MS(newest.Percentile(99)), measure.MS(oldest.Percentile(99)), measure.MS(direct.Percentile(99)))
	seconds := took.Seconds()
	t.Note("%d events in %.0f s, all in order and none twice: %.0f/s, %.1f of each thread", events, seconds, float64(events)/seconds, float64(events)/seconds/float64(n))
	last := len(after) - 1
	t.Note("leader: %.2f of a core; each follower: %.2f of a core", (after[last]-before[last])/seconds, (after[0]-before[0])/seconds)
	return nil
}

// costs is the processor time that each node has taken, in seconds.
func costs(ctx context.Context, nodes []*house.Node) (all []float64, err error) {
	for _, n := range nodes {
		one, err := n.Metric(ctx, "process_cpu_seconds_total")
		if err != nil {
			return nil, err
		}
		all = append(all, one)
	}
	return all, nil
}

// environments makes computers' recipes, and none of the computers.
func environments(ctx context.Context, h *house.House) (all []string, err error) {
	for i := range streamingHomes {
		env, err := h.Client(0).Environments().Create(ctx, wire.WriteEnvironment{Name: wire.Some(fmt.Sprintf("home %d", i))})
		if err != nil {
			return nil, fmt.Errorf("make an environment: %w", err)
		}
		all = append(all, env.ID)
	}
	return all, nil
}
