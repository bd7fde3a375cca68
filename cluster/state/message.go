package state

import (
	"errors"
	"time"
)

// Message is what a user or the assistant said in a thread.
type Message struct {
	ID      MessageID `cbor:"1,keyasint"`
	Thread  ThreadID  `cbor:"2,keyasint"`
	Role    string    `cbor:"3,keyasint"` // user, assistant, system
	Content string    `cbor:"4,keyasint"`
	Run     RunID     `cbor:"5,keyasint"`
	// AfterSeq is the thread's newest event when it was said: a transcript is
	// messages and completed items merged by it.
	AfterSeq    uint64    `cbor:"6,keyasint"`
	Number      int       `cbor:"7,keyasint"` // 1 for the thread's first
	Attachments []byte    `cbor:"8,keyasint"` // a JSON array, as given
	CreatedAt   time.Time `cbor:"9,keyasint"`
}

// MaxMessageBytes bounds what a user may say in one message.
const MaxMessageBytes = 256 << 10

var messages = table[Message]{
	name: "message", noun: "Message",
	id: func(m Message) string { return string(m.ID) },
	indexes: []index[Message]{
		{"thread", func(m Message) ([]string, string, bool) {
			return []string{string(m.Thread)}, encodeText(uint64(m.Number)), true
		}},
	},
}

// Messages lists a thread's messages, oldest first unless newestFirst.
func (v *View) Messages(account AccountID, thread ThreadID, p Page, newestFirst bool) (List[Message], error) {
	list := List[Message]{Items: []Message{}}
	if _, err := v.Thread(account, thread); err != nil {
		return list, err
	}
	total, err := messages.count(v.r, "thread", string(thread))
	if err != nil {
		return list, err
	}
	list.Total = total
	skipped := 0
	err = messages.each(v.r, "thread", []string{string(thread)}, newestFirst, func(m Message) bool {
		if skipped < p.Offset {
			skipped++
			return true
		}
		if len(list.Items) < p.Limit {
			list.Items = append(list.Items, m)
		}
		return len(list.Items) < p.Limit
	})
	return list, err
}

// say appends a message to a thread, whose record the caller puts afterwards.
func (tx *Tx) say(t *Thread, m Message) error {
	t.Messages++
	m.Thread, m.AfterSeq, m.Number, m.CreatedAt = t.ID, t.LastSeq, t.Messages, tx.now
	return messages.create(tx.w, m)
}

// MessagesAfter visits the messages of a thread after its first n, oldest first,
// until visit returns false.
func (v *View) MessagesAfter(thread ThreadID, n int, visit func(Message) bool) error {
	prefix := messages.scopePrefix("thread", []string{string(thread)})
	from := messages.scopePrefix("thread", []string{string(thread), encodeText(uint64(n + 1))})
	var failed error
	err := v.r.Scan(from, after(prefix), false, func(k, _ []byte) bool {
		var m Message
		var ok bool
		if m, ok, failed = messages.find(v.r, lastPart(k)); failed != nil || !ok {
			return false
		}
		return visit(m)
	})
	return errors.Join(err, failed)
}
