package search

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"

	"github.com/bothy-computer/bothy/cluster/state"
)

// Bounds of a thread in the index.
const (
	// maxTerms is how many different words of a thread are found; later new
	// ones are not.
	maxTerms = 20_000
	// titleWeight is how often a word of the title counts as said.
	titleWeight = 3
)

// format is the version of what is below; another is built anew.
const format = 1

// The keys: all parts end with a zero byte.
//
//	v                            the format
//	a <account>                  tally: how many threads, of how many words
//	d <account> <thread>         doc: what is needed of a thread to find it
//	p <account> <term> <thread>  how often the word was said
//	w <thread>                   its account, title and words
func key(kind byte, parts ...string) []byte {
	k := []byte{kind}
	for _, p := range parts {
		k = append(append(k, p...), 0)
	}
	return k
}

// after is the first key that does not begin with prefix.
func after(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// tally sums up an account.
type tally struct {
	Threads int64 `cbor:"1,keyasint"`
	Words   int64 `cbor:"2,keyasint"`
}

// doc is a thread, as small as can be.
type doc struct {
	Words       int64               `cbor:"1,keyasint"`
	Messages    int                 `cbor:"2,keyasint"` // that were read
	Environment state.EnvironmentID `cbor:"3,keyasint"`
	Status      state.ThreadStatus  `cbor:"4,keyasint"`
	Created     int64               `cbor:"5,keyasint"` // ns
	Title       string              `cbor:"6,keyasint"`
}

// content is what a thread says.
type content struct {
	Account state.AccountID   `cbor:"1,keyasint"`
	Terms   map[string]uint32 `cbor:"2,keyasint"`
}

func load[T any](r state.Reader, k []byte) (rec T, ok bool, err error) {
	b, err := r.Get(k)
	if err != nil || b == nil {
		return rec, false, err
	}
	if err := state.Decode(b, &rec); err != nil {
		return rec, false, fmt.Errorf("search: read %q: %w", k, err)
	}
	return rec, true, nil
}

func save(w state.Writer, k []byte, rec any) error {
	b, err := state.Encode(rec)
	if err != nil {
		return err
	}
	return w.Set(k, b)
}

// Prepare makes the index one of this format: empty, if it was none.
func Prepare(w state.Writer) error {
	at, _, err := load[int](w, key('v'))
	if err != nil || at == format {
		return err
	}
	if err := w.DeleteRange([]byte{0}, []byte{0xff}); err != nil {
		return err
	}
	return save(w, key('v'), format)
}

// Behind reports whether the index does not say what the thread's record does.
func Behind(r state.Reader, t state.Thread) (bool, error) {
	d, known, err := load[doc](r, key('d', string(t.Account), string(t.ID)))
	if err != nil || t.Deleted || !known {
		return known == t.Deleted, err
	}
	return d != docOf(t, d.Words), nil
}

func docOf(t state.Thread, words int64) doc {
	return doc{Words: words, Messages: t.Messages, Environment: t.Environment, Status: t.Status, Created: t.CreatedAt.UnixNano(), Title: t.Title}
}

// Put takes in what was said in a thread since it was last put. more gives its
// messages after the first n, oldest first. A deleted thread is forgotten.
func Put(w state.Writer, t state.Thread, more func(n int) ([]state.Message, error)) error {
	if t.Deleted {
		return Forget(w, t.ID)
	}
	at := key('d', string(t.Account), string(t.ID))
	d, known, err := load[doc](w, at)
	if err != nil {
		return err
	}
	c := content{Account: t.Account, Terms: map[string]uint32{}}
	if known {
		if c, _, err = load[content](w, key('w', string(t.ID))); err != nil {
			return err
		}
	}
	said, err := more(d.Messages)
	if err != nil {
		return err
	}
	change := map[string]int64{}
	if d.Title != t.Title {
		count(change, d.Title, -titleWeight)
		count(change, t.Title, titleWeight)
	}
	for _, m := range said {
		count(change, m.Content, 1)
	}
	grown, err := post(w, t.ID, &c, change)
	if err != nil {
		return err
	}
	if err := add(w, t.Account, !known, grown); err != nil {
		return err
	}
	now := docOf(t, d.Words+grown)
	now.Messages = d.Messages + len(said)
	return save(w, at, now)
}

func count(change map[string]int64, text string, weight int64) {
	words(text, func(w word) bool {
		change[w.term] += weight
		return true
	})
}

// post writes the words that changed, in their order so that two nodes with
// the same threads write the same, and reports by how much the thread grew.
func post(w state.Writer, thread state.ThreadID, c *content, change map[string]int64) (grown int64, err error) {
	touched := false
	for _, term := range slices.Sorted(maps.Keys(change)) {
		n := change[term]
		had, known := c.Terms[term]
		if n == 0 || !known && (n < 0 || len(c.Terms) >= maxTerms) {
			continue
		}
		touched = true
		has := max(0, int64(had)+n)
		grown += has - int64(had)
		at := key('p', string(c.Account), term, string(thread))
		if has == 0 {
			delete(c.Terms, term)
			err = w.Delete(at)
		} else {
			c.Terms[term] = uint32(has)
			err = w.Set(at, binary.AppendUvarint(nil, uint64(has)))
		}
		if err != nil {
			return 0, err
		}
	}
	if !touched {
		if b, err := w.Get(key('w', string(thread))); err != nil || b != nil {
			return 0, err
		}
	}
	return grown, save(w, key('w', string(thread)), *c)
}

// add changes an account's tally.
func add(w state.Writer, account state.AccountID, another bool, words int64) error {
	if !another && words == 0 {
		return nil
	}
	at := key('a', string(account))
	t, _, err := load[tally](w, at)
	if err != nil {
		return err
	}
	if t.Words += words; another {
		t.Threads++
	}
	return save(w, at, t)
}

// Forget takes a thread out. One that is not in is success.
func Forget(w state.Writer, thread state.ThreadID) error {
	c, known, err := load[content](w, key('w', string(thread)))
	if err != nil || !known {
		return err
	}
	at := key('d', string(c.Account), string(thread))
	d, _, err := load[doc](w, at)
	if err != nil {
		return err
	}
	t, _, err := load[tally](w, key('a', string(c.Account)))
	if err != nil {
		return err
	}
	t.Threads, t.Words = t.Threads-1, t.Words-d.Words
	if err := save(w, key('a', string(c.Account)), t); err != nil {
		return err
	}
	for term := range c.Terms {
		if err := w.Delete(key('p', string(c.Account), term, string(thread))); err != nil {
			return err
		}
	}
	if err := w.Delete(at); err != nil {
		return err
	}
	return w.Delete(key('w', string(thread)))
}

// Threads visits the threads in the index, until visit returns false.
func Threads(r state.Reader, visit func(state.ThreadID) bool) error {
	return r.Scan(key('w'), after(key('w')), false, func(k, _ []byte) bool {
		return visit(state.ThreadID(k[1 : len(k)-1]))
	})
}
