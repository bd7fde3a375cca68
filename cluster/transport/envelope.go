package transport

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/anthdm/hollywood/actor"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/cluster/trace"
)

const (
	// maxKindBytes bounds an envelope's kind.
	maxKindBytes = 64
	// maxKeyBytes bounds an envelope's key.
	maxKeyBytes = 256
	// maxActorBytes bounds the id of an actor.
	maxActorBytes = 512
	// maxFaultBytes bounds a fault inside an envelope.
	maxFaultBytes = 2 * maxFaultText
)

// Envelope is the one message that goes between actors of different nodes.
// Whoever sends or receives one must not change it afterwards.
//
// An ask is an envelope that came with a sender. It is answered, once, by
// sending Answer's or Refuse's envelope to that sender, with ctx.Respond or
// later with engine.Send; the sender is good until the deadline and is kept
// beside the work, never taken from a later ctx. At the asker it is no actor
// but a number in a table, with a channel that has room for one answer: a
// second answer, a late one, or one from another node than was asked is
// dropped and blocks nobody. An answer that cannot be sent comes back to the
// answering actor as an *Undelivered, like any message.
type Envelope struct {
	Kind     string       // what the body is; the receiving node must know it
	Key      string       // which thing it is about
	Epoch    uint64       // of the owner that the sender had in mind
	Request  uint64       // the ask's number; zero on a message that is no ask
	Deadline time.Time    // by the local clock; zero when there is none
	Fault    *fault.Error // on the answer to an ask that failed
	Body     []byte       // at most MaxBodyBytes
	// Cause is what an ask is made for, as trace.Encode has it; Ask sets it.
	Cause []byte
}

// Answer is the envelope that answers this ask with a body.
func (e *Envelope) Answer(body []byte) *Envelope {
	return &Envelope{Kind: e.Kind, Key: e.Key, Epoch: e.Epoch, Request: e.Request, Body: body}
}

// Refuse is the envelope that answers this ask with a failure.
func (e *Envelope) Refuse(err error) *Envelope {
	a := e.Answer(nil)
	a.Fault = decodeFault(encodeFault(err))
	return a
}

// Undelivered is what the sender of an envelope gets, as a message, when it
// could not be delivered. An ask gets the *Nack as its error instead.
type Undelivered struct {
	To      *actor.PID
	Kind    string
	Key     string
	Request uint64
	Nack    *Nack
}

// letterKind tells a message from the news that one was not delivered.
type letterKind byte

const (
	letterMessage letterKind = 1
	letterNack    letterKind = 2 // the body is the reason; kind, key and request are the lost message's
	letterBy      letterKind = 3 // on the wire alone: a message with its cause before it
)

// letter is an envelope with its addresses, each the id of an actor on its node.
type letter struct {
	kind     letterKind
	to, from string // from is empty when nobody is to be told
	env      Envelope
}

func (l letter) encode(now time.Time) []byte {
	b := newFrame(frameLetter, 64+len(l.env.Cause)+len(l.to)+len(l.from)+len(l.env.Key)+len(l.env.Body))
	if l.kind == letterMessage && l.env.Cause != nil {
		b = append(b, byte(letterBy))
		b = appendText(b, string(l.env.Cause))
	} else {
		b = append(b, byte(l.kind))
	}
	b = appendText(b, l.to)
	b = appendText(b, l.from)
	b = appendText(b, l.env.Kind)
	b = appendText(b, l.env.Key)
	b = binary.AppendUvarint(b, l.env.Epoch)
	b = binary.AppendUvarint(b, l.env.Request)
	if l.env.Deadline.IsZero() {
		b = binary.AppendUvarint(b, 0)
	} else {
		b = appendLeft(b, l.env.Deadline.Sub(now))
	}
	if l.env.Fault == nil {
		b = appendText(b, "")
	} else {
		b = appendText(b, string(encodeFault(l.env.Fault)))
	}
	return finish(append(b, l.env.Body...))
}

func decodeLetter(payload []byte, now time.Time) (letter, error) {
	if len(payload) == 0 {
		return letter{}, errFrame
	}
	l := letter{kind: letterKind(payload[0])}
	f := fields{rest: payload[1:]}
	if l.kind == letterBy {
		l.kind, l.env.Cause = letterMessage, []byte(f.text(trace.MaxCauseBytes))
	}
	l.to, l.from = f.text(maxActorBytes), f.text(maxActorBytes)
	l.env.Kind, l.env.Key = f.text(maxKindBytes), f.text(maxKeyBytes)
	l.env.Epoch, l.env.Request = f.uint(), f.uint()
	if left := f.left(); left > 0 {
		l.env.Deadline = now.Add(left)
	}
	told := f.text(maxFaultBytes)
	if f.bad || len(f.rest) > MaxBodyBytes || l.kind != letterMessage && l.kind != letterNack {
		return letter{}, errFrame
	}
	if told != "" {
		l.env.Fault = decodeFault([]byte(told))
	}
	l.env.Body = f.rest
	return l, nil
}

// fits reports whether the letter is within every bound on its parts.
func (l letter) fits() bool {
	return len(l.to) <= maxActorBytes && len(l.from) <= maxActorBytes && len(l.env.Kind) <= maxKindBytes &&
		len(l.env.Key) <= maxKeyBytes && len(l.env.Body) <= MaxBodyBytes
}

func (l letter) expired(now time.Time) bool {
	return !l.env.Deadline.IsZero() && !now.Before(l.env.Deadline)
}

// returned is the letter that tells the sender that this one was not delivered.
func (l letter) returned(reason Reason, cause error) letter {
	back := letter{kind: letterNack, to: l.from, from: l.to, env: Envelope{
		Kind: l.env.Kind, Key: l.env.Key, Epoch: l.env.Epoch, Request: l.env.Request, Body: []byte(reason),
	}}
	if cause != nil {
		back.env.Fault = decodeFault(encodeFault(cause))
	}
	return back
}

// nack reads what a returned letter says.
func (l letter) nack(node state.NodeID) *Nack {
	n := nack(node, Reason(l.env.Body), nil)
	if !slices.Contains(Reasons(), n.Reason) {
		n.Reason = Rejected // of a newer build
	}
	if l.env.Fault != nil {
		n.cause = l.env.Fault
	}
	return n
}
