package search

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math"
	"slices"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Bounds of a query.
const (
	MaxQueryBytes = 1024
	// maxQueryTerms is how many different words of a query count.
	maxQueryTerms = 32
	// maxPostings bounds what one query reads. A query that meets it finds what
	// it has read by then.
	maxPostings = 300_000
)

// The constants of BM25, as they are mostly chosen.
const (
	k1 = 1.2
	b  = 0.75
)

// prefixWeight is what a word counts that only begins as the query's does, and
// minPrefixRunes from which length on such words are found.
const (
	prefixWeight   = 0.5
	minPrefixRunes = 3
)

// Query asks for an account's threads.
type Query struct {
	Account     state.AccountID
	Text        string
	Environment state.EnvironmentID // "" is any
	Status      state.ThreadStatus  // "" is any
	Page        state.Page
}

// Hit is a thread that was found.
type Hit struct {
	Thread state.ThreadID
	Score  float64 // above 0; comparable within one query
}

// Result is a page of hits, the best first.
type Result struct {
	Hits  []Hit
	Total int
	// Any is set when no thread has all of the query's words, so those with
	// some of them were found.
	Any bool
	// Cut is set when the bound of postings was met.
	Cut bool
	// Terms are the query's words, for Snippet.
	Terms []string
}

// Find finds the threads that have the words of a query, those that have them
// more often, in fewer words, and rarer ones first.
func Find(r state.Reader, q Query) (Result, error) {
	res := Result{Hits: []Hit{}, Terms: termsOf(q.Text, maxQueryTerms)}
	all, _, err := load[tally](r, key('a', string(q.Account)))
	if err != nil || all.Threads == 0 {
		return res, err
	}
	lists := make([]map[state.ThreadID]float64, len(res.Terms))
	some := map[state.ThreadID]int{} // how many of the words each has
	left := maxPostings
	for i, term := range res.Terms {
		if lists[i], err = postings(r, q.Account, term, &left); err != nil {
			return res, err
		}
		for thread := range lists[i] {
			some[thread]++
		}
	}
	res.Cut = left <= 0
	docs, err := documents(r, q.Account, some)
	if err != nil {
		return res, err
	}
	found := rank(all, lists, some, docs, q, true)
	if len(found) == 0 {
		found = rank(all, lists, some, docs, q, false)
		res.Any = len(found) > 0
	}
	res.Total = len(found)
	from := min(q.Page.Offset, len(found))
	for _, f := range found[from:min(from+q.Page.Limit, len(found))] {
		res.Hits = append(res.Hits, f.Hit)
	}
	return res, nil
}

// postings reads how often each thread has a word, or one that begins so.
func postings(r state.Reader, account state.AccountID, term string, left *int) (map[state.ThreadID]float64, error) {
	exact := key('p', string(account), term)
	from := exact
	if len([]rune(term)) >= minPrefixRunes {
		from = exact[:len(exact)-1]
	}
	list := map[state.ThreadID]float64{}
	err := r.Scan(from, after(from), false, func(k, v []byte) bool {
		n, _ := binary.Uvarint(v)
		tf := float64(n)
		if !bytes.HasPrefix(k, exact) {
			tf *= prefixWeight
		}
		rest := k[:len(k)-1]
		list[state.ThreadID(rest[bytes.LastIndexByte(rest, 0)+1:])] += tf
		*left--
		return *left > 0
	})
	return list, err
}

// manyThreads is from how many on all of an account's are read, in their
// order, instead of one by one.
const manyThreads = 256

func documents(r state.Reader, account state.AccountID, some map[state.ThreadID]int) (map[state.ThreadID]doc, error) {
	docs := make(map[state.ThreadID]doc, len(some))
	if len(some) < manyThreads {
		for thread := range some {
			d, ok, err := load[doc](r, key('d', string(account), string(thread)))
			if err != nil {
				return nil, err
			}
			if ok {
				docs[thread] = d
			}
		}
		return docs, nil
	}
	prefix := key('d', string(account))
	var failed error
	err := r.Scan(prefix, after(prefix), false, func(k, v []byte) bool {
		thread := state.ThreadID(k[len(prefix) : len(k)-1])
		if some[thread] == 0 {
			return true
		}
		var d doc
		failed = state.Decode(v, &d)
		docs[thread] = d
		return failed == nil
	})
	return docs, cmp.Or(failed, err)
}

type scored struct {
	Hit
	created int64
}

// rank scores the threads that pass the query's filters and have all of its
// words, or any of them.
func rank(all tally, lists []map[state.ThreadID]float64, some map[state.ThreadID]int, docs map[state.ThreadID]doc, q Query, every bool) []scored {
	average := float64(all.Words) / float64(all.Threads)
	var found []scored
	for thread, n := range some {
		d, ok := docs[thread]
		if !ok || every && n < len(lists) || q.Environment != "" && d.Environment != q.Environment || q.Status != "" && d.Status != q.Status {
			continue
		}
		score := 0.0
		for _, list := range lists {
			if tf := list[thread]; tf > 0 {
				df := float64(len(list))
				idf := math.Log(1 + (float64(all.Threads)-df+0.5)/(df+0.5))
				score += idf * tf * (k1 + 1) / (tf + k1*(1-b+b*float64(d.Words)/average))
			}
		}
		found = append(found, scored{Hit{thread, score}, d.Created})
	}
	slices.SortFunc(found, func(a, b scored) int {
		return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.created, a.created), cmp.Compare(a.Thread, b.Thread))
	})
	return found
}
