package state

import (
	"fmt"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// CodeExists marks the Conflict of making a thing under an id that is taken.
const CodeExists = "EXISTS"

// table keeps records of one type: each under its key, with an entry in every
// index that wants it and an exact count of each index's scopes, all in the
// command's own writes.
type table[T any] struct {
	name    string
	noun    string // what a caller calls one of them, for "no such thread"
	id      func(T) string
	indexes []index[T]
	sealed  func(*T) []sealedPlace // where a record holds sealed values; nil where none does
}

// index orders part of a table under a scope, such as the threads of one
// account by age. at returns the scope's parts and the position inside it, and
// false when the record is not in this index.
type index[T any] struct {
	name string
	at   func(T) (scope []string, position string, ok bool)
}

func (t *table[T]) key(id string) []byte { return key(t.name, id) }

func (t *table[T]) indexKey(ix index[T], scope []string, position, id string) []byte {
	return key(t.name+"."+ix.name, append(append(append(make([]string, 0, len(scope)+2), scope...), position), id)...)
}

func (t *table[T]) scopePrefix(ix string, scope []string) []byte { return key(t.name+"."+ix, scope...) }

func (t *table[T]) countKey(ix string, scope []string) []byte {
	return key(t.name+"#"+ix, scope...)
}

// find returns the record, or false when there is none.
func (t *table[T]) find(r Reader, id string) (rec T, ok bool, err error) {
	b, err := r.Get(t.key(id))
	if err != nil || b == nil {
		return rec, false, err
	}
	if err := Decode(b, &rec); err != nil {
		return rec, false, fmt.Errorf("state: read %s %s: %w", t.name, id, err)
	}
	return rec, true, nil
}

// get returns the record, or a NotFound that names it.
func (t *table[T]) get(r Reader, id string) (T, error) {
	rec, ok, err := t.find(r, id)
	if err == nil && !ok {
		err = fault.New(fault.NotFound, "%s not found: %s", t.noun, id)
	}
	return rec, err
}

// create writes a new record. An id that is taken is a Conflict: making a thing
// over another would lose what the other's indexes, log and money say.
func (t *table[T]) create(w Writer, rec T) error {
	id := t.id(rec)
	if id == "" {
		return fault.New(fault.Invalid, "%s without an id", t.noun)
	}
	b, err := w.Get(t.key(id))
	if err != nil {
		return err
	}
	if b != nil {
		return fault.New(fault.Conflict, "%s exists: %s", t.noun, id).WithCode(CodeExists)
	}
	return t.write(w, nil, rec)
}

// put writes the record and moves its index entries from where they were.
func (t *table[T]) put(w Writer, rec T) error {
	old, existed, err := t.find(w, t.id(rec))
	if err != nil {
		return err
	}
	if !existed {
		return t.write(w, nil, rec)
	}
	return t.write(w, &old, rec)
}

func (t *table[T]) write(w Writer, was *T, rec T) error {
	id := t.id(rec)
	if err := t.clean(rec); err != nil {
		return err
	}
	if err := t.fence(w, was, &rec); err != nil {
		return err
	}
	for _, ix := range t.indexes {
		if err := t.move(w, ix, was, &rec, id); err != nil {
			return err
		}
	}
	b, err := Encode(rec)
	if err != nil {
		return err
	}
	return w.Set(t.key(id), b)
}

// clean refuses a record whose keys would not end where their parts end.
func (t *table[T]) clean(rec T) error {
	parts := []string{t.id(rec)}
	for _, ix := range t.indexes {
		if scope, position, ok := ix.at(rec); ok {
			parts = append(append(parts, scope...), position)
		}
	}
	for _, p := range parts {
		if strings.IndexByte(p, 0) >= 0 {
			return fault.New(fault.Invalid, "%s: %q holds a zero byte", t.noun, p)
		}
	}
	return nil
}

// remove deletes the record and its index entries; an absent one is no error.
func (t *table[T]) remove(w Writer, id string) error {
	old, existed, err := t.find(w, id)
	if err != nil || !existed {
		return err
	}
	for _, ix := range t.indexes {
		if err := t.move(w, ix, &old, nil, id); err != nil {
			return err
		}
	}
	return w.Delete(t.key(id))
}

func (t *table[T]) move(w Writer, ix index[T], was, is *T, id string) error {
	from, fromCount, hadIt := t.place(ix, was, id)
	to, toCount, hasIt := t.place(ix, is, id)
	if hadIt && hasIt && string(from) == string(to) {
		return nil
	}
	if hadIt {
		if err := w.Delete(from); err != nil {
			return err
		}
		if err := add(w, fromCount, -1); err != nil {
			return err
		}
	}
	if !hasIt {
		return nil
	}
	if err := w.Set(to, []byte{1}); err != nil {
		return err
	}
	return add(w, toCount, 1)
}

func (t *table[T]) place(ix index[T], rec *T, id string) (at, count []byte, ok bool) {
	if rec == nil {
		return nil, nil, false
	}
	scope, position, ok := ix.at(*rec)
	if !ok {
		return nil, nil, false
	}
	return t.indexKey(ix, scope, position, id), t.countKey(ix.name, scope), true
}

func add(w Writer, k []byte, n int64) error {
	b, err := w.Get(k)
	if err != nil {
		return err
	}
	have, err := decodeUint(b)
	if err != nil {
		return err
	}
	have = uint64(int64(have) + n)
	if have == 0 {
		return w.Delete(k)
	}
	return w.Set(k, encodeUint(have))
}

// count is how many records an index holds in a scope.
func (t *table[T]) count(r Reader, ix string, scope ...string) (int, error) {
	b, err := r.Get(t.countKey(ix, scope))
	if err != nil {
		return 0, err
	}
	n, err := decodeUint(b)
	return int(n), err
}

// each visits the records of a scope in the index's order, or the reverse,
// until visit returns false.
func (t *table[T]) each(r Reader, ix string, scope []string, reverse bool, visit func(T) bool) error {
	prefix := t.scopePrefix(ix, scope)
	var failed error
	err := r.Scan(prefix, after(prefix), reverse, func(k, _ []byte) bool {
		rec, ok, err := t.find(r, lastPart(k))
		if err == nil && !ok {
			err = fmt.Errorf("state: index %s.%s names a missing record", t.name, ix)
		}
		if err != nil {
			failed = err
			return false
		}
		return visit(rec)
	})
	if failed != nil {
		return failed
	}
	return err
}

// Page asks for part of a list. Limit is 1 or more; Offset is 0 or more.
type Page struct{ Limit, Offset int }

// List is a page of records and the exact number of all of them.
type List[T any] struct {
	Items []T
	Total int
}

// HasMore reports whether records follow those of the page.
func (l List[T]) HasMore(p Page) bool { return p.Offset+len(l.Items) < l.Total }

// page lists a scope newest first. Without a filter the total is the counter's;
// with one the scope is read through.
func (t *table[T]) page(r Reader, ix string, scope []string, p Page, keep func(T) bool) (List[T], error) {
	list := List[T]{Items: []T{}}
	if keep == nil {
		total, err := t.count(r, ix, scope...)
		if err != nil {
			return list, err
		}
		list.Total = total
	}
	seen := 0
	err := t.each(r, ix, scope, true, func(rec T) bool {
		if keep != nil && !keep(rec) {
			return true
		}
		seen++
		if seen > p.Offset && len(list.Items) < p.Limit {
			list.Items = append(list.Items, rec)
		}
		return keep != nil || len(list.Items) < p.Limit
	})
	if keep != nil {
		list.Total = seen
	}
	return list, err
}

// lastPart returns the last zero-ended part of a key: an index entry's id.
func lastPart(k []byte) string {
	end := len(k) - 1
	begin := end
	for begin > 0 && k[begin-1] != 0 {
		begin--
	}
	return string(k[begin:end])
}
