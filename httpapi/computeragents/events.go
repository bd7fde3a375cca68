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

// replay sends the thread's events after a seq up to the newest one now.
func (a *API) replay(s *door.Stream, thread state.Thread, after uint64) error {
	f := a.Runs.Follow(s.Context(), thread.ID, after)
	defer f.Close()
	scribe := NewScribe()
	for after < thread.LastSeq {
		p, err := a.compose(scribe, thread, f, after, thread.LastSeq)
		if err != nil || p.last == after {
			return err
		}
		if err := s.Send(p.text); err != nil {
			return err
		}
		after = p.last
	}
	return nil
}
