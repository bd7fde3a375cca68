package state

import "github.com/bothy-computer/bothy/cluster/fault"

// Bounds of a copy, which is one command: a longer thread is refused, so that
// copying never holds up the log.
const (
	MaxCopyRecords = 5000    // messages and completed items
	MaxCopyBytes   = 8 << 20 // of what they say
	MaxCopyScan    = 50_000  // events read to find the items
)

// CopyThread makes a thread with another's messages and what its runs said and
// did, so that the conversation can go on in two ways.
type CopyThread struct {
	Account     AccountID    `cbor:"1,keyasint"`
	From        ThreadID     `cbor:"2,keyasint"`
	To          ThreadID     `cbor:"3,keyasint"`
	Title       string       `cbor:"4,keyasint"` // "" is "<title> Copy"
	Idempotency *Idempotency `cbor:"5,keyasint,omitempty"`
}

func (cmd CopyThread) apply(tx *Tx) error {
	if done, err := tx.once(cmd.Account, cmd.Idempotency, Resource{"thread", string(cmd.To)}); err != nil || done {
		return err
	}
	from, err := tx.Thread(cmd.Account, cmd.From)
	if err != nil {
		return err
	}
	to := Thread{ID: cmd.To, Account: from.Account, User: from.User, Environment: from.Environment, Computer: from.Computer,
		Agent: from.Agent, Title: cmd.Title, Status: ThreadCompleted, App: from.App, Metadata: from.Metadata,
		Messages: from.Messages, LastSeq: from.LastSeq, CreatedAt: tx.now, UpdatedAt: tx.now}
	if to.Title == "" {
		to.Title = from.Title + " Copy"
	}
	if err := tx.newThread(to); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedThread, ID: string(to.ID)})
	return tx.copyLog(from, to)
}

func (tx *Tx) copyLog(from, to Thread) error {
	var size copySize
	var said []Message
	err := messages.each(tx.w, "thread", []string{string(from.ID)}, false, func(m Message) bool {
		said = append(said, m)
		return size.add(len(m.Content) + len(m.Attachments))
	})
	if err != nil {
		return err
	}
	var did []Event
	err = tx.Events(from.ID, 0, func(e Event) bool {
		size.scanned++
		if e.Kind != EventItemCompleted {
			return size.fits()
		}
		did = append(did, e)
		bytes := len(e.Text) + len(e.Provider)
		if e.Tool != nil {
			bytes += len(e.Tool.Arguments) + len(e.Tool.Output)
		}
		return size.add(bytes)
	})
	if err != nil {
		return err
	}
	if !size.fits() {
		return fault.New(fault.TooLarge, "the thread is too long to copy: a copy holds %d messages and items, %d bytes in all", MaxCopyRecords, MaxCopyBytes)
	}
	for i, m := range said {
		m.ID, m.Thread = MessageID(string(to.ID)+"_m"+encodeText(uint64(i))), to.ID
		if err := messages.create(tx.w, m); err != nil {
			return err
		}
	}
	for _, e := range did {
		if err := putEvent(tx.w, to.ID, e); err != nil {
			return err
		}
	}
	return nil
}

// copySize is how much a copy takes along.
type copySize struct{ records, bytes, scanned int }

func (s *copySize) add(bytes int) bool {
	s.records, s.bytes = s.records+1, s.bytes+bytes
	return s.fits()
}

func (s *copySize) fits() bool {
	return s.records <= MaxCopyRecords && s.bytes <= MaxCopyBytes && s.scanned <= MaxCopyScan
}
