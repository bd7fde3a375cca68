package state

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Bounds of what travels through the log.
const (
	MaxEntryBytes = 1 << 20  // one raft entry, all its commands together
	MaxEventBytes = 64 << 10 // one event's body
)

// Command is one change to the records. Only this package can implement it,
// so the log can hold nothing the reader has not seen here.
type Command interface{ apply(*Tx) error }

// CommandID names a command for ever: the counter-th command of one
// incarnation of a node. A command without an incarnation (zero) is not
// remembered and must be harmless when applied twice.
type CommandID struct {
	Node        NodeID `cbor:"1,keyasint"`
	Incarnation uint64 `cbor:"2,keyasint"`
	Counter     uint64 `cbor:"3,keyasint"`
}

// Proposal is a command on its way into the log. Acked is the proposer's low
// mark: results of its commands up to and including it may be forgotten.
type Proposal struct {
	ID    CommandID       `cbor:"1,keyasint"`
	Acked uint64          `cbor:"2,keyasint"`
	Kind  string          `cbor:"3,keyasint"`
	Body  cbor.RawMessage `cbor:"4,keyasint"`
	Cause *Cause          `cbor:"5,keyasint,omitempty"` // nil for what a node does by itself
}

// Entry is what one raft log entry holds. The leader makes it: Stamp is the
// larger of its clock and the last stamp, in Unix nanoseconds.
type Entry struct {
	Stamp     int64      `cbor:"1,keyasint"`
	Proposals []Proposal `cbor:"2,keyasint"`
}

// Result is what became of one proposal. It is the same on every replica.
type Result struct {
	ID    CommandID       `cbor:"1,keyasint"`
	Reply cbor.RawMessage `cbor:"2,keyasint,omitempty"`
	Fault *ResultFault    `cbor:"3,keyasint,omitempty"`
}

// ResultFault is a refusal as it is kept and sent between nodes.
type ResultFault struct {
	Kind    fault.Kind `cbor:"1,keyasint"`
	Code    string     `cbor:"2,keyasint,omitempty"`
	Field   string     `cbor:"3,keyasint,omitempty"`
	Message string     `cbor:"4,keyasint"`
}

// Err returns the refusal as an error, or nil.
func (r Result) Err() error {
	if r.Fault == nil {
		return nil
	}
	return fault.New(r.Fault.Kind, "%s", r.Fault.Message).WithCode(r.Fault.Code).WithField(r.Fault.Field)
}

var (
	// Times keep their nanoseconds: an index entry is found again only under
	// the very time it was written with.
	encMode = must(cbor.EncOptions{Sort: cbor.SortCanonical, Time: cbor.TimeRFC3339NanoUTC}.EncMode())
	// Text need not be UTF-8: what a command in a computer prints is any bytes,
	// and an entry that is in the log must be readable.
	decMode = must(cbor.DecOptions{MaxArrayElements: 1 << 20, MaxMapPairs: 1 << 20, UTF8: cbor.UTF8DecodeInvalid}.DecMode())
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// Encode writes records, commands and replies in the one form that is stored
// and sent: canonical CBOR, so that replicas are equal to the byte.
func Encode(v any) ([]byte, error) { return encMode.Marshal(v) }

// Decode reads what Encode wrote.
func Decode(b []byte, v any) error { return decMode.Unmarshal(b, v) }

// Propose seals a command for the log.
func Propose(id CommandID, acked uint64, cmd Command) (Proposal, error) {
	kind := KindOf(cmd)
	if kind == "" {
		return Proposal{}, fault.New(fault.Internal, "command %T has no kind", cmd)
	}
	body, err := Encode(cmd)
	if err != nil {
		return Proposal{}, fmt.Errorf("encode %s: %w", kind, err)
	}
	if len(body) > MaxEntryBytes-4096 {
		return Proposal{}, fault.New(fault.TooLarge, "%s is %d bytes; one entry holds %d", kind, len(body), MaxEntryBytes)
	}
	p := Proposal{ID: id, Acked: acked, Kind: kind, Body: body}
	// What cannot be read back (a date in the year 12000) would stop every
	// replica once it is in the log.
	if _, err := p.decode(); err != nil {
		return Proposal{}, fault.New(fault.Invalid, "%s cannot be stored: %w", kind, err)
	}
	return p, nil
}

// For is the proposal with what led to it. A cluster whose version is less than
// CauseVersion is not sent one.
func (p Proposal) For(c Cause) Proposal {
	p.Cause = nil
	if c != (Cause{}) {
		p.Cause = &c
	}
	return p
}

// ErrUnknownKind means that an entry holds a command this build has no code
// for. The node must stop: skipping it would make this replica differ.
var ErrUnknownKind = errors.New("state: unknown command kind")

// decode returns the command inside a proposal.
func (p Proposal) decode() (Command, error) {
	k, ok := kinds[p.Kind]
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrUnknownKind, p.Kind)
	}
	v := reflect.New(k.typ)
	if err := Decode(p.Body, v.Interface()); err != nil {
		return nil, fmt.Errorf("decode %s: %w", p.Kind, err)
	}
	return v.Elem().Interface().(Command), nil
}

// Applied is what one entry did, for those who wait for it and those who watch.
type Applied struct {
	Index   uint64
	Results []Result
	Changes []Change
}

// Apply applies one encoded entry at index to w. Each command succeeds or
// fails alone. An entry at or below the applied index does nothing (raft
// replays the log after a restart). An error means that the replica cannot go
// on: the store is broken, or the entry needs a newer build. What w then holds
// of the entry must not be committed.
func Apply(w Writer, index uint64, encoded []byte) (Applied, error) {
	done := Applied{Index: index}
	last, err := AppliedIndex(w)
	if err != nil || index <= last {
		return done, err
	}
	var entry Entry
	if err := Decode(encoded, &entry); err != nil {
		return done, fmt.Errorf("decode entry %d: %w", index, err)
	}
	stamp, err := LastStamp(w)
	if err != nil {
		return done, err
	}
	// A leader new in its term may not have applied all that the one before
	// it stamped: time stands still here before it goes back.
	stamp = max(stamp, entry.Stamp)
	watched := &watchedWriter{Writer: w}
	for _, p := range entry.Proposals {
		result, changes, err := applyOne(watched, time.Unix(0, stamp).UTC(), p)
		if watched.err != nil {
			err = watched.err
		}
		if err != nil {
			return done, fmt.Errorf("entry %d: %w", index, err)
		}
		done.Results = append(done.Results, result)
		done.Changes = append(done.Changes, changes...)
	}
	if err := w.Set(keyStamp, encodeUint(uint64(stamp))); err != nil {
		return done, err
	}
	return done, w.Set(keyApplied, encodeUint(index))
}

// Skip records that index was applied without a command (a raft no-op or
// configuration entry), so that readers waiting for it go on after a restart.
func Skip(w Writer, index uint64) error {
	last, err := AppliedIndex(w)
	if err != nil || index <= last {
		return err
	}
	return w.Set(keyApplied, encodeUint(index))
}

func applyOne(w Writer, now time.Time, p Proposal) (Result, []Change, error) {
	remembered := p.ID.Incarnation != 0
	if remembered {
		old, err := recall(w, p.ID)
		if err != nil || old != nil {
			if old == nil {
				old = &Result{}
			}
			return *old, nil, err
		}
		if err := checkIncarnation(w, p.ID); err != nil {
			return refused(p.ID, err), nil, nil
		}
	}
	cmd, err := p.decode()
	if err != nil {
		return Result{}, nil, err
	}
	o := newOverlay(w)
	tx := &Tx{View: View{r: o}, w: o, now: now, by: p.ID, cause: p.Cause}
	result := Result{ID: p.ID}
	err = cmd.apply(tx)
	if err == nil {
		err = tx.audit(o, cmd)
	}
	switch {
	case err == nil:
		if err := o.flush(); err != nil {
			return result, nil, err
		}
		if tx.reply != nil {
			if result.Reply, err = Encode(tx.reply); err != nil {
				return result, nil, err
			}
		}
	case fault.Of(err) == fault.Internal:
		// Not a refusal: the store failed or a record cannot be read.
		return result, nil, fmt.Errorf("apply %s: %w", p.Kind, err)
	default:
		result = refused(p.ID, err)
		tx.changes = nil
	}
	if remembered {
		if err := remember(w, p, result); err != nil {
			return result, nil, err
		}
	}
	return result, tx.changes, nil
}

func refused(id CommandID, err error) Result {
	f := &ResultFault{Kind: fault.Of(err), Message: err.Error()}
	var e *fault.Error
	if errors.As(err, &e) {
		f.Code, f.Field = e.Code, e.Field
	}
	return Result{ID: id, Fault: f}
}
