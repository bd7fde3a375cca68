package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// window counts the requests of one scope (a key, or an address) in one fixed
// window. Edges take blocks of it, so not each request is a command.
type window struct {
	Scope string        `cbor:"4,keyasint"`
	Start time.Time     `cbor:"1,keyasint"`
	Span  time.Duration `cbor:"2,keyasint"`
	Taken int           `cbor:"3,keyasint"`
}

var windows = table[window]{
	name: "window", noun: "Request window",
	id: func(w window) string { return w.Scope },
	indexes: []index[window]{
		{"end", func(w window) ([]string, string, bool) { return nil, stampText(w.Start.Add(w.Span)), true }},
	},
}

// Grant is the reply to TakeRequests: how many requests the asker may admit
// until the window ends, and how many are left for everybody.
type Grant struct {
	Granted int       `cbor:"1,keyasint"`
	Left    int       `cbor:"2,keyasint"`
	Start   time.Time `cbor:"3,keyasint"`
	Ends    time.Time `cbor:"4,keyasint"`
}

// TakeRequests takes up to Want requests out of a scope's window, never more
// in all than Limit. Windows begin with their first request.
type TakeRequests struct {
	Scope string        `cbor:"1,keyasint"`
	Limit int           `cbor:"2,keyasint"`
	Span  time.Duration `cbor:"3,keyasint"`
	Want  int           `cbor:"4,keyasint"`
}

func (cmd TakeRequests) apply(tx *Tx) error {
	if cmd.Limit < 1 || cmd.Want < 1 || cmd.Span <= 0 {
		return fault.New(fault.Invalid, "a request window needs a limit, a span and a number to take")
	}
	w, _, err := windows.find(tx.w, cmd.Scope)
	if err != nil {
		return err
	}
	if w.Start.IsZero() || !tx.now.Before(w.Start.Add(w.Span)) {
		w = window{Scope: cmd.Scope, Start: tx.now, Span: cmd.Span}
	}
	granted := min(cmd.Want, max(0, cmd.Limit-w.Taken))
	w.Taken += granted
	tx.Reply(Grant{Granted: granted, Left: max(0, cmd.Limit-w.Taken), Start: w.Start, Ends: w.Start.Add(w.Span)})
	return windows.put(tx.w, w)
}

// ReturnRequests gives back what an edge took and did not use. It counts only
// for the window it was taken from.
type ReturnRequests struct {
	Scope string    `cbor:"1,keyasint"`
	Start time.Time `cbor:"2,keyasint"`
	Count int       `cbor:"3,keyasint"`
}

func (cmd ReturnRequests) apply(tx *Tx) error {
	w, ok, err := windows.find(tx.w, cmd.Scope)
	if err != nil || !ok || !w.Start.Equal(cmd.Start) || cmd.Count < 1 {
		return err
	}
	w.Taken = max(0, w.Taken-cmd.Count)
	return windows.put(tx.w, w)
}
