package nemesis

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	requestClients = 3
	requestPace    = 200 * time.Millisecond
	// requestPatience bounds one try; requestRetry is before the next one, with the
	// same key, at the next node.
	requestPatience = 20 * time.Second
	requestRetry    = 100 * time.Millisecond
	// dataAway is the code of a computer whose newest disk is on a node that is away.
	dataAway = `"data_away"`
	// maxReason bounds what is told of why a try failed.
	maxReason = 90
)

// requests have an Idempotency-Key each. One that fails is sent again as it was, to
// the next node, until it is answered: nothing else may be needed to mend it, and it
// makes one thing.
type requests struct {
	p  *game
	at home

	mu       sync.Mutex
	answered int
	failed   int            // of those, at first
	tries    map[string]int // why each try failed, how often
	slowest  time.Duration  // from the first failure to the answer
	agents   map[string]int // names, and how many there are
	threads  map[string]int // the same of titles
	wrong    []error
}

func newRequests(p *game, at home) *requests {
	return &requests{p: p, at: at, tries: map[string]int{}, agents: map[string]int{}, threads: map[string]int{}}
}

// ask is one request, the same at each try.
type ask struct {
	method, path, key string
	body              any
	want              int
	holds             string // what the answer has in it; "" is anything
	// gone takes it for an answer that a file is not there, or is on a node that was
	// lost: then a computer waits for its user's word.
	gone bool
}

func (w *requests) work(ctx context.Context) {
	var all sync.WaitGroup
	for i := range requestClients {
		all.Go(func() {
			for n := 0; sleep(ctx, requestPace) == nil; n++ {
				w.insist(i+n, w.next(i, n))
			}
		})
	}
	all.Wait()
}

// next is the n-th request of a client.
func (w *requests) next(client, n int) ask {
	name := fmt.Sprintf("%d-%d", client, n)
	key, file := "request-"+name, fmt.Sprintf("file-%d", client)
	files := "/v1/computers/" + w.at.computer + "/files/ops"
	switch n % 4 {
	case 0:
		w.note(func() { w.agents[name] = 0 })
		return ask{method: http.MethodPost, path: "/v1/agents", key: key, want: http.StatusCreated, holds: name,
			body: wire.WriteAgent{Name: wire.Some(name), Model: wire.Some("script")}}
	case 1:
		w.note(func() { w.threads[name] = 0 })
		no := false
		return ask{method: http.MethodPost, path: "/v1/threads", key: key, want: http.StatusOK, holds: name, body: wire.CreateThread{
			Title: name, Stream: &no, EnvironmentID: w.at.environment, Messages: []wire.Said{{Role: "user", Content: "Hello."}}}}
	case 2:
		return ask{method: http.MethodPost, path: files, key: key, want: http.StatusOK, gone: !w.p.gentle,
			body: map[string]string{"operation": "write_text", "path": file, "content": name}}
	}
	read := ask{method: http.MethodPost, path: files, key: key, want: http.StatusOK, gone: !w.p.gentle,
		body: map[string]string{"operation": "read_text", "path": file}}
	if w.p.gentle {
		read.holds = fmt.Sprintf(`"%d-%d"`, client, n-1) // as it wrote before
	}
	return read
}

// insist sends a request until it is answered.
func (w *requests) insist(first int, a ask) {
	var failed time.Time
	for n := first; ; n++ {
		why := w.try(w.p.house.Nodes[n%len(w.p.house.Nodes)].URL, a)
		if why == nil {
			break
		}
		if failed.IsZero() {
			failed = time.Now()
		}
		late := time.Since(failed) > patience
		w.note(func() {
			w.tries[clipped(why.Error())]++
			if late {
				w.wrong = append(w.wrong, fmt.Errorf("%s %s with key %s was not answered within %s: %w", a.method, a.path, a.key, patience, why))
			}
		})
		if late {
			return
		}
		time.Sleep(requestRetry)
	}
	w.note(func() {
		w.answered++
		if !failed.IsZero() {
			w.failed, w.slowest = w.failed+1, max(w.slowest, time.Since(failed))
		}
	})
}

// try sends a request once.
func (w *requests) try(url string, a ask) error {
	ctx, cancel := context.WithTimeout(context.Background(), requestPatience)
	defer cancel()
	text, err := json.Marshal(a.body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, a.method, url+a.path, bytes.NewReader(text))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+w.p.key)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", a.key)
	resp, err := w.p.house.HTTP().Do(req)
	if err != nil {
		if cut := errors.Unwrap(err); cut != nil { // without the URL
			err = cut
		}
		return err
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err
	case a.gone && (resp.StatusCode == http.StatusNotFound || bytes.Contains(reply, []byte(dataAway))):
		return nil
	case resp.StatusCode != a.want || !bytes.Contains(reply, []byte(a.holds)):
		return fmt.Errorf("%d %s", resp.StatusCode, reply)
	}
	return nil
}

func clipped(text string) string { return text[:min(len(text), maxReason)] }

func (w *requests) note(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

func (w *requests) judge(ctx context.Context) (string, error) {
	seen := fmt.Sprintf("%d with keys, of which %d failed at first and were mended by the same again, the last within %s", w.answered, w.failed, w.slowest.Round(time.Millisecond))
	for _, why := range slices.SortedFunc(maps.Keys(w.tries), func(a, b string) int { return w.tries[b] - w.tries[a] }) {
		seen += fmt.Sprintf("\n            %d times: %s", w.tries[why], why)
	}
	c := w.p.through(0)
	err := each(ctx, c.Agents().List, func(a wire.Agent) {
		if n, ours := w.agents[a.Name]; ours {
			w.agents[a.Name] = n + 1
		}
	})
	if err == nil {
		all := func(ctx context.Context, p client.Page) (wire.List[wire.Thread], error) {
			return c.Threads().List(ctx, client.ThreadFilter{}, p)
		}
		err = each(ctx, all, func(t wire.Thread) {
			if t.Title == nil {
				return
			}
			if n, ours := w.threads[*t.Title]; ours {
				w.threads[*t.Title] = n + 1
			}
		})
	}
	for kind, counts := range map[string]map[string]int{"agent": w.agents, "thread": w.threads} {
		for name, n := range counts {
			if n != 1 {
				w.wrong = append(w.wrong, fmt.Errorf("there are %d of %s %s", n, kind, name))
			}
		}
	}
	if w.answered == 0 {
		w.wrong = append(w.wrong, errors.New("no request was answered"))
	}
	return seen, errors.Join(append(w.wrong, err)...)
}

// each visits all of a list.
func each[T any](ctx context.Context, list func(context.Context, client.Page) (wire.List[T], error), visit func(T)) error {
	for p := (client.Page{Limit: 100}); ; p.Offset += p.Limit {
		page, err := list(ctx, p)
		if err != nil {
			return err
		}
		for _, one := range page.Data {
			visit(one)
		}
		if !page.HasMore {
			return nil
		}
	}
}
