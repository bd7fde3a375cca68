package httpapi_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// audience follows one thread, and leaves and returns at any time.
type audience struct {
	url, key string
	client   *http.Client
	runs     int // whose ends it waits for
}

// heard is what one of an audience was sent: blocks of an id and an event.
type heard struct {
	blocks []string
	last   string // the newest id
	ended  int
}

// attend follows until all runs have ended, cut off after every few blocks.
func (a audience) attend(ctx context.Context, random *rand.Rand) (heard, error) {
	var h heard
	for h.ended < a.runs {
		if err := a.listen(ctx, &h, 1+random.IntN(12)); err != nil {
			return h, err
		}
	}
	return h, nil
}

func (a audience) listen(ctx context.Context, h *heard, most int) error {
	req, err := http.NewRequestWithContext(ctx, "GET", a.url+"?follow=true", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+a.key)
	req.Header.Set("Last-Event-ID", h.last)
	resp, err := a.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	var unsure []string // blocks of an event whose last one has not come
	for lines := bufio.NewReader(resp.Body); most > 0 && h.ended < a.runs; {
		block, id, err := readBlock(lines)
		if err != nil {
			return err
		}
		if block == "" {
			continue
		}
		unsure = append(unsure, id+" "+block)
		if id == "" {
			continue
		}
		h.blocks, h.last, unsure = append(h.blocks, unsure...), id, nil
		most--
		if strings.Contains(block, `"type":"`+wire.StreamCompleted+`"`) {
			h.ended++
		}
	}
	return nil
}

// readBlock reads up to an empty line: an event, or none in a comment and in what
// only sets the id.
func readBlock(lines *bufio.Reader) (event, id string, err error) {
	for {
		line, err := lines.ReadString('\n')
		if err != nil || line == "\n" {
			return event, id, err
		}
		if after, ok := strings.CutPrefix(line, "id: "); ok {
			id = strings.TrimSpace(after)
		}
		if strings.HasPrefix(line, "data: ") {
			event = line
		}
	}
}

// TestAllFollowersAreSentTheSame has many follow a thread while runs go on in it,
// leave anywhere and return; each is sent what a replay of all of it is.
func TestAllFollowersAreSentTheSame(t *testing.T) {
	const followers, runs = 12, 6
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	first := run(c, hello)
	path := "/threads/" + first.Thread.ID
	a := audience{url: h.URL + path + "/events", key: h.Key, client: h.Client(), runs: runs}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)

	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var all sync.WaitGroup
	sent, failed := make([]heard, followers), make([]error, followers)
	for i := range followers {
		all.Go(func() { sent[i], failed[i] = a.attend(ctx, rand.New(rand.NewPCG(seed, uint64(i)))) })
	}
	for range runs - 1 {
		c.do("POST", path+"/messages", map[string]any{"content": hello, "stream": false}).is(200)
	}
	all.Wait()

	resp := c.open("GET", path+"/events?follow=false&after=0", nil)
	defer resp.Body.Close()
	var want []string
	for lines := bufio.NewReader(resp.Body); ; {
		block, id, err := readBlock(lines)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if block != "" {
			want = append(want, id+" "+block)
		}
	}
	for i, got := range sent {
		if failed[i] != nil {
			t.Fatalf("follower %d, after %d events: %v", i, len(got.blocks), failed[i])
		}
		if slices.Equal(got.blocks, want) {
			continue
		}
		at := 0
		for at < min(len(want), len(got.blocks)) && got.blocks[at] == want[at] {
			at++
		}
		t.Fatalf("follower %d was sent %d events and a replay has %d; the first that differs is\n%v, not\n%v",
			i, len(got.blocks), len(want), got.blocks[min(at, len(got.blocks)-1):][:1], want[min(at, len(want)-1):][:1])
	}
}
