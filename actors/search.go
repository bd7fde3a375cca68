package actors

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/search"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// indexEvery spaces the index's own looking; who searches has it look now.
	indexEvery = time.Second
	// maxIndexed bounds the threads that one update of the index takes in, and
	// maxIndexedMessages the messages of each.
	maxIndexed         = 64
	maxIndexedMessages = 500
	// searchPatience bounds how long who searches waits for the index.
	searchPatience = 20 * time.Second
	// maxSearchedMessages is how many of a found thread's messages, the newest,
	// are looked at for where the words stand.
	maxSearchedMessages = 200
	// maxHighlights bounds what is shown of a found thread.
	maxHighlights = 3
)

// Index is where a node keeps the words of its threads.
type Index struct {
	Store IndexStore
	// Changes tells of threads. Nobody else takes from it.
	Changes ThreadChanges
}

// IndexStore keeps the index. *store.Store is one.
type IndexStore interface {
	Update(func(state.Writer) error) error
	View() (r state.Reader, done func(), err error)
	// Full reports whether there is no room to write; while there is none, nothing
	// is tried.
	Full() bool
}

// ThreadChanges are changes that can be waited for: after Settle, what a read
// before it showed is there to Take.
type ThreadChanges interface {
	Changes
	Settle()
}

// Search finds threads by what was said in them, on any node: each has an
// index of its own replica.
type Search struct {
	cluster Cluster
	index   *Index // nil: this node has none
	log     *slog.Logger
	turn    chan struct{} // held by who brings the index up to date
	whole   bool          // every thread was compared; guarded by turn
	behind  map[state.ThreadID]struct{}
}

func newSearch(c Cluster, ix *Index, log *slog.Logger) *Search {
	return &Search{cluster: c, index: ix, log: log, turn: make(chan struct{}, 1), behind: map[state.ThreadID]struct{}{}}
}

// run keeps the index up to date until ctx ends.
func (s *Search) run(ctx context.Context) {
	if s.index == nil {
		return
	}
	full := false
	for {
		err := s.catchUp(ctx)
		if was := full; err != nil && ctx.Err() == nil {
			if full = fault.Is(err, fault.Full); !full || !was {
				s.log.Warn("bring the search index up to date", "err", err)
			}
		} else {
			full = false
		}
		select {
		case <-time.After(indexEvery):
		case <-ctx.Done():
			return
		}
		select {
		case <-s.index.Changes.Wake():
		case <-ctx.Done():
			return
		}
	}
}

// catchUp takes in all that this replica shows now.
func (s *Search) catchUp(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return fault.New(fault.Unavailable, "the search index is being made").WithRetry(retryMailbox)
	}
	if s.index.Store.Full() {
		return fault.New(fault.Full, "the node's disk is full: what is new cannot be searched")
	}
	s.index.Changes.Settle()
	changes, missed := s.index.Changes.Take()
	for _, c := range changes {
		if c.Noun == state.ChangedThread {
			s.behind[state.ThreadID(c.ID)] = struct{}{}
		}
	}
	if missed || !s.whole {
		s.whole = false
		if err := s.compare(ctx); err != nil {
			return err
		}
		s.whole = true
	}
	for len(s.behind) > 0 {
		if ctx.Err() != nil {
			return fault.New(fault.Unavailable, "the search index is being made").WithRetry(retryMailbox)
		}
		if err := s.takeIn(); err != nil {
			return err
		}
	}
	return nil
}

// compare notes every thread that the index does not have as it is.
func (s *Search) compare(ctx context.Context) error {
	if err := s.index.Store.Update(search.Prepare); err != nil {
		return err
	}
	r, done, err := s.index.Store.View()
	if err != nil {
		return err
	}
	defer done()
	v := s.cluster.Stale()
	defer v.Close()
	var failed error
	err = v.AllThreads(func(t state.Thread) bool {
		var late bool
		if late, failed = search.Behind(r, t); late {
			s.behind[t.ID] = struct{}{}
		}
		return failed == nil && ctx.Err() == nil
	})
	if err == nil && failed == nil {
		err = search.Threads(r, func(id state.ThreadID) bool {
			var there bool
			if _, there, failed = v.AnyThread(id); !there {
				s.behind[id] = struct{}{}
			}
			return failed == nil && ctx.Err() == nil
		})
	}
	if failed != nil {
		return failed
	}
	if err == nil && ctx.Err() != nil {
		err = fault.New(fault.Unavailable, "the search index is being made").WithRetry(retryMailbox)
	}
	return err
}

// takeIn brings some threads up to date in one update. A long one takes more
// than one.
func (s *Search) takeIn() error {
	v := s.cluster.Stale()
	defer v.Close()
	var done []state.ThreadID
	err := s.index.Store.Update(func(w state.Writer) error {
		done = done[:0]
		taken := 0
		for id := range s.behind {
			if taken++; taken > maxIndexed {
				break
			}
			more, err := s.take(v, w, id)
			if err != nil {
				return fmt.Errorf("index thread %s: %w", id, err)
			}
			if !more {
				done = append(done, id)
			}
		}
		return nil
	})
	if err == nil {
		for _, id := range done {
			delete(s.behind, id)
		}
	}
	return err
}

// take brings one thread up to date; more says that it is not yet.
func (s *Search) take(v *state.View, w state.Writer, id state.ThreadID) (more bool, err error) {
	t, known, err := v.AnyThread(id)
	if err != nil {
		return false, err
	}
	if !known {
		return false, search.Forget(w, id)
	}
	if late, err := search.Behind(w, t); err != nil || !late {
		return false, err
	}
	err = search.Put(w, t, func(n int) (said []state.Message, err error) {
		err = v.MessagesAfter(id, n, func(m state.Message) bool {
			said = append(said, m)
			return len(said) < maxIndexedMessages
		})
		more = len(said) == maxIndexedMessages
		return said, err
	})
	return more, err
}

// SearchQuery asks for threads.
type SearchQuery struct {
	Text        string
	Environment state.EnvironmentID // "" is any
	Status      state.ThreadStatus  // "" is any
	Messages    bool                // give the messages that match, too
	Page        state.Page
}

// FoundThread is a thread that was found.
type FoundThread struct {
	Thread     state.Thread
	Score      float64
	Highlights []string // with search.Mark around words that match
	Messages   []state.Message
}

// Found is a page of threads, those that match best first.
type Found struct {
	Threads []FoundThread
	Total   int
	Any     bool // none has all of the words, so these have some of them
	Cut     bool // more match than one query reads
}

// Threads finds an account's threads. What was acknowledged before the call is
// searched.
func (s *Search) Threads(ctx context.Context, c Caller, q SearchQuery) (Found, error) {
	if s.index == nil {
		return Found{}, fault.New(fault.Unsupported, "this node keeps no search index")
	}
	ctx, cancel := context.WithTimeout(ctx, searchPatience)
	defer cancel()
	v, err := s.cluster.Read(ctx)
	if err != nil {
		return Found{}, err
	}
	v.Close()
	if err := s.catchUp(ctx); err != nil {
		return Found{}, err
	}
	r, done, err := s.index.Store.View()
	if err != nil {
		return Found{}, err
	}
	defer done()
	res, err := search.Find(r, search.Query{Account: c.Account, Text: q.Text, Environment: q.Environment, Status: q.Status, Page: q.Page})
	if err != nil {
		return Found{}, err
	}
	found := Found{Threads: []FoundThread{}, Total: res.Total, Any: res.Any, Cut: res.Cut}
	v = s.cluster.Stale()
	defer v.Close()
	for _, hit := range res.Hits {
		one, err := show(v, c.Account, hit, res.Terms, q.Messages)
		if fault.Is(err, fault.NotFound) {
			continue // deleted meanwhile
		}
		if err != nil {
			return found, err
		}
		found.Threads = append(found.Threads, one)
	}
	return found, nil
}

// show reads a found thread and where the words stand in it.
func show(v *state.View, account state.AccountID, hit search.Hit, terms []string, messages bool) (FoundThread, error) {
	t, err := v.Thread(account, hit.Thread)
	if err != nil {
		return FoundThread{}, err
	}
	said, err := v.Messages(account, hit.Thread, state.Page{Limit: maxSearchedMessages}, true)
	if err != nil {
		return FoundThread{}, err
	}
	one := FoundThread{Thread: t, Score: hit.Score, Highlights: []string{}, Messages: []state.Message{}}
	texts := make([]string, 0, len(said.Items))
	for _, m := range said.Items {
		texts = append(texts, m.Content)
	}
	places, snippets := search.Matches(texts, terms, maxHighlights)
	if title, n := search.Snippet(t.Title, terms); n > 0 {
		one.Highlights = append(one.Highlights, title)
	}
	one.Highlights = append(one.Highlights, snippets...)
	if messages {
		for _, at := range places {
			one.Messages = append(one.Messages, said.Items[at])
		}
	}
	return one, nil
}
