package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/cluster/search"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/store"
)

// The world that is searched: what one account said in a year.
const (
	searchThreads  = 5_000
	searchEach     = 20 // messages of a thread
	searchWords    = 60 // of a message
	searchLanguage = 50_000
)

// search measures a node's index of 100,000 messages beside a look through all
// of them. What it leaves out is the request around it.
func (b *bench) search(ctx context.Context) error {
	dir, err := os.MkdirTemp(b.base, "bothy-search-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	kept, err := store.Open(filepath.Join(dir, "search"), store.Options{CacheBytes: 4 << 20, MemTableBytes: 2 << 20})
	if err != nil {
		return err
	}
	said, took, err := fillIndex(ctx, kept)
	if err == nil {
		all := searchThreads * searchEach
		t := measure.Latencies(fmt.Sprintf("search of %d messages in %d threads", all, searchThreads))
		err = b.queries(ctx, kept, said, t)
		t.Note("the index was made in %.1f s, %s messages/s, one update a thread; each query gives 20 threads", took.Seconds(), measure.PerSecond(all, took))
		t.Note("ratios: to looking for the words in every message, in memory, without ranking")
		err = errors.Join(err, t.Write(b.out))
	}
	return errors.Join(err, kept.Close())
}

// speech makes messages of words as often as languages use them.
type speech struct {
	random *rand.Rand
	zipf   *rand.Zipf
}

func (s speech) word() string { return fmt.Sprintf("w%dx", s.zipf.Uint64()) }

func (s speech) message() string {
	words := make([]string, searchWords)
	for i := range words {
		words[i] = s.word()
	}
	return strings.Join(words, " ")
}

func fillIndex(ctx context.Context, kept *store.Store) (said []string, took time.Duration, err error) {
	random := rand.New(rand.NewPCG(1, 2))
	talk := speech{random, rand.NewZipf(random, 1.2, 8, searchLanguage)}
	if err := kept.Update(search.Prepare); err != nil {
		return nil, 0, err
	}
	for i := range searchThreads {
		messages := make([]state.Message, searchEach)
		for m := range messages {
			messages[m].Content = talk.message()
			said = append(said, messages[m].Content)
		}
		t := state.Thread{ID: state.ThreadID(fmt.Sprintf("thread_%05d", i)), Account: "acct", Status: state.ThreadCompleted, Messages: searchEach, CreatedAt: time.Unix(int64(i), 0)}
		begun := time.Now()
		err := kept.Update(func(w state.Writer) error {
			return search.Put(w, t, func(n int) ([]state.Message, error) { return messages[n:], nil })
		})
		if took += time.Since(begun); err != nil || ctx.Err() != nil {
			return nil, 0, errors.Join(err, ctx.Err())
		}
	}
	return said, took, nil
}

func (b *bench) queries(ctx context.Context, kept *store.Store, said []string, t *measure.Table) error {
	random := rand.New(rand.NewPCG(3, 4))
	talk := speech{random, rand.NewZipf(random, 1.2, 8, searchLanguage)}
	for words := 1; words <= 3; words++ {
		var ours, bare measure.Samples
		for i := range b.count(500) {
			if err := ctx.Err(); err != nil {
				return err
			}
			terms := make([]string, words)
			for w := range terms {
				terms[w] = talk.word()
			}
			if err := ours.Time(func() error { return find(kept, strings.Join(terms, " ")) }); err != nil {
				return err
			}
			if i%25 == 0 {
				begun := time.Now()
				scan(said, terms)
				bare.Add(time.Since(begun))
			}
		}
		t.Compare(fmt.Sprintf("%d words", words), &ours, &bare)
		t.Compare("  a look through all messages", &bare, &bare)
		t.Note("p99 of %d words: %s ms", words, measure.MS(ours.Percentile(99)))
	}
	return nil
}

func find(kept *store.Store, text string) error {
	r, done, err := kept.View()
	if err != nil {
		return err
	}
	defer done()
	_, err = search.Find(r, search.Query{Account: "acct", Text: text, Page: state.Page{Limit: 20}})
	return err
}

// scan looks for the messages that have all of the words.
func scan(said, terms []string) (found int) {
	for _, text := range said {
		if !slices.ContainsFunc(terms, func(t string) bool { return !strings.Contains(text, t) }) {
			found++
		}
	}
	return found
}
