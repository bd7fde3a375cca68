package state

import (
	"bytes"
	"slices"
	"sort"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Tx is one command's view of the records while it is applied: it reads
// through to the store and keeps its writes apart until the command has
// succeeded, so that a command that fails leaves nothing behind.
type Tx struct {
	View
	w       Writer
	now     time.Time
	by      CommandID
	cause   *Cause // nil where no request led to the command
	reply   any
	changes []Change
}

// Now is the entry's time, in UTC, as the leader stamped it. It never goes
// back and is the only clock a command may read.
func (tx *Tx) Now() time.Time { return tx.now }

// Reply sets what the proposer gets back when the command succeeds.
func (tx *Tx) Reply(v any) { tx.reply = v }

// changed tells watchers about a record once the entry is committed.
func (tx *Tx) changed(c Change) { tx.changes = append(tx.changes, c) }

// try does part of a command that may be refused while the rest goes on: a
// refusal, which it returns, leaves nothing of the part behind.
func (tx *Tx) try(part func(*Tx) error) (refusal, err error) {
	o := newOverlay(tx.w)
	sub := &Tx{View: View{r: o}, w: o, now: tx.now, by: tx.by, cause: tx.cause}
	if err := part(sub); err != nil {
		if fault.Of(err) == fault.Internal {
			return nil, err
		}
		return err, nil
	}
	tx.changes = append(tx.changes, sub.changes...)
	return nil, o.flush()
}

// watchedWriter remembers that the store failed. A failing disk is no refusal,
// whatever kind its error carries: on the other replicas the command succeeds.
type watchedWriter struct {
	Writer
	err error
}

func (w *watchedWriter) note(err error) error {
	if err != nil && w.err == nil {
		w.err = err
	}
	return err
}

func (w *watchedWriter) Get(key []byte) ([]byte, error) {
	value, err := w.Writer.Get(key)
	return value, w.note(err)
}

func (w *watchedWriter) Scan(from, to []byte, reverse bool, visit func(key, value []byte) bool) error {
	return w.note(w.Writer.Scan(from, to, reverse, visit))
}

func (w *watchedWriter) Set(key, value []byte) error { return w.note(w.Writer.Set(key, value)) }
func (w *watchedWriter) Delete(key []byte) error     { return w.note(w.Writer.Delete(key)) }
func (w *watchedWriter) DeleteRange(from, to []byte) error {
	return w.note(w.Writer.DeleteRange(from, to))
}

// overlay holds a command's writes above a Writer until it succeeds.
type overlay struct {
	base   Writer
	writes map[string][]byte // nil: deleted
	ranges []keyRange
}

type keyRange struct{ from, to []byte }

func newOverlay(base Writer) *overlay { return &overlay{base: base, writes: map[string][]byte{}} }

func (o *overlay) Get(key []byte) ([]byte, error) {
	if v, ok := o.writes[string(key)]; ok {
		return v, nil
	}
	if o.dropped(key) {
		return nil, nil
	}
	return o.base.Get(key)
}

func (o *overlay) Set(key, value []byte) error {
	o.writes[string(key)] = value
	return nil
}

func (o *overlay) Delete(key []byte) error {
	o.writes[string(key)] = nil
	return nil
}

// DeleteRange forgets writes inside the range and hides the base's keys there.
func (o *overlay) DeleteRange(from, to []byte) error {
	for k := range o.writes {
		if k >= string(from) && k < string(to) {
			delete(o.writes, k)
		}
	}
	o.ranges = append(o.ranges, keyRange{slices.Clone(from), slices.Clone(to)})
	return nil
}

func (o *overlay) dropped(key []byte) bool {
	for _, r := range o.ranges {
		if bytes.Compare(key, r.from) >= 0 && bytes.Compare(key, r.to) < 0 {
			return true
		}
	}
	return false
}

// Scan merges the base's keys with the command's own writes, in order.
func (o *overlay) Scan(from, to []byte, reverse bool, visit func(key, value []byte) bool) error {
	var own []string
	for k := range o.writes {
		if k >= string(from) && k < string(to) {
			own = append(own, k)
		}
	}
	sort.Strings(own)
	if reverse {
		slices.Reverse(own)
	}
	before := func(a string, b []byte) bool {
		if reverse {
			return a > string(b)
		}
		return a < string(b)
	}
	stopped := false
	emitOwn := func(until []byte) bool {
		for len(own) > 0 && (until == nil || before(own[0], until)) {
			k := own[0]
			own = own[1:]
			if v := o.writes[k]; v != nil && !visit([]byte(k), v) {
				stopped = true
				return false
			}
		}
		return true
	}
	err := o.base.Scan(from, to, reverse, func(key, value []byte) bool {
		if len(own) > 0 && before(own[0], key) {
			// Visiting may read, and reading ends the life of lent slices.
			key, value = slices.Clone(key), slices.Clone(value)
			if !emitOwn(key) {
				return false
			}
		}
		if _, ok := o.writes[string(key)]; ok || o.dropped(key) {
			return true
		}
		if !visit(key, value) {
			stopped = true
			return false
		}
		return true
	})
	if err != nil || stopped {
		return err
	}
	emitOwn(nil)
	return nil
}

// changes reports whether the base would be another with the writes in it.
func (o *overlay) changes() (bool, error) {
	if len(o.ranges) > 0 {
		return true, nil
	}
	for k, v := range o.writes {
		have, err := o.base.Get([]byte(k))
		if err != nil || !bytes.Equal(have, v) {
			return true, err
		}
	}
	return false, nil
}

// flush moves the writes into the base, ranges first: a key written after its
// range was dropped is still in writes.
func (o *overlay) flush() error {
	for _, r := range o.ranges {
		if err := o.base.DeleteRange(r.from, r.to); err != nil {
			return err
		}
	}
	for k, v := range o.writes {
		var err error
		if v == nil {
			err = o.base.Delete([]byte(k))
		} else {
			err = o.base.Set([]byte(k), v)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
