package blob

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/bothy-computer/bothy/runtime"
)

// maxServed bounds the requests that a store serves at once, each with a blob in
// memory; more wait.
const maxServed = 16

// Serve serves a store to Remotes of other machines. Take is asked before anything
// is done, with a key or directory and how many bytes are put, 0 of who only
// reads, and says why not.
func Serve(store Store, take func(key string, bytes int) error) http.Handler {
	return &served{store: store, take: take, turns: make(chan struct{}, maxServed)}
}

type served struct {
	store Store
	take  func(key string, bytes int) error
	turns chan struct{}
}

// ServeHTTP implements http.Handler.
func (s *served) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case s.turns <- struct{}{}:
		defer func() { <-s.turns }()
	case <-r.Context().Done():
		return
	}
	if err := s.serve(w, r); err != nil {
		w.WriteHeader(statusOf(err))
		_, _ = io.WriteString(w, err.Error()) // a caller that is gone reads nothing
	}
}

func (s *served) serve(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	key := query.Get(keyParameter)
	if r.Method == http.MethodPut {
		return s.put(w, r, key)
	}
	if query.Has(dirParameter) {
		return s.list(w, r, query.Get(dirParameter))
	}
	if err := s.take(key, 0); err != nil {
		return err
	}
	data, err := s.store.Get(r.Context(), key, MaxPutBytes)
	if err == nil {
		_, _ = w.Write(data)
	}
	return err
}

func (s *served) put(w http.ResponseWriter, r *http.Request, key string) error {
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxPutBytes))
	if err != nil {
		return fmt.Errorf("%w: read blob %.100q: %w", runtime.ErrInvalid, key, err)
	}
	if err := s.take(key, len(data)); err != nil {
		return err
	}
	return s.store.Put(r.Context(), key, data)
}

// list answers with a line for each entry, and an empty one at the end.
func (s *served) list(w http.ResponseWriter, r *http.Request, dir string) error {
	if err := s.take(dir, 0); err != nil {
		return err
	}
	lines := json.NewEncoder(w)
	err := s.store.List(r.Context(), dir, func(e Entry) error { return lines.Encode(e) })
	if err == nil {
		err = lines.Encode(Entry{})
	}
	if err != nil {
		panic(http.ErrAbortHandler) // a list that was cut must not look like one that ended
	}
	return nil
}

func statusOf(err error) int {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status
		}
	}
	return http.StatusServiceUnavailable
}
