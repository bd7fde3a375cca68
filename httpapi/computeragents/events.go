package computeragents

import (
	"strconv"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// followThread serves GET /threads/:id/events: what the thread's runs do, from
// Last-Event-ID or ?after= on, until the client leaves; with follow=false,
// until the newest event.
func (a *API) followThread(c *gin.Context) error {
	id, err := threadID(c)
	if err != nil {
		return err
	}
	after, err := resumeAt(c.Query("after"), c.GetHeader("Last-Event-ID"))
	if err != nil {
		return err
	}
	follow, given, err := door.Flag(c, "follow")
	if err != nil {
		return err
	}
	thread, err := get(a, c, func(v *state.View, account state.AccountID) (state.Thread, error) {
		t, err := v.Thread(account, id)
		if err != nil {
			return t, err
		}
		return t, a.Owner(c, v, t.Computer)
	})
	if err != nil {
		return err
	}
	s, err := a.Reserve(c)
	if err != nil {
		return err
	}
	if err = s.Begin(after); err == nil && (follow || !given) {
		err = a.follow(s, thread, after, "")
	} else if err == nil {
		err = a.replay(s, thread, after)
	}
	s.Close(err)
	return nil
}

// resumeAt reads the seq after which a stream begins. The header wins: it is
// what a client that reconnects has really seen.
func resumeAt(query, header string) (uint64, error) {
	name, text := "after", query
	if header != "" {
		name, text = "Last-Event-ID", header
	}
	if text == "" {
		return 0, nil
	}
	seq, err := strconv.ParseUint(text, 10, 63)
	if err != nil {
		return 0, invalid(name, "%s must be the id of an event: a whole number", name)
	}
	return seq, nil
}

// replayBatch is how many events a replay reads at once: the records are not
// held while a slow client reads.
const replayBatch = 256

// replay sends the thread's events after a seq up to the newest one now.
func (a *API) replay(s *door.Stream, thread state.Thread, after uint64) error {
	scribe := NewScribe()
	for after < thread.LastSeq {
		events, err := a.batch(thread, after)
		if err != nil || len(events) == 0 {
			return err
		}
		for _, e := range events {
			if err := a.write(s, scribe, thread, e); err != nil {
				return err
			}
			after = e.Seq
		}
		if err := s.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (a *API) batch(thread state.Thread, after uint64) (events []state.Event, err error) {
	v := a.Records.StaleView()
	defer v.Close()
	err = v.Events(thread.ID, after, func(e state.Event) bool {
		if e.Seq <= thread.LastSeq {
			events = append(events, e)
		}
		return e.Seq < thread.LastSeq && len(events) < replayBatch
	})
	return events, err
}
