package httpapi_test

import (
	"testing"
	"time"

	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// After a leader's clock was ahead, the records' time is ahead of every clock for a
// while. What they say is due at once is done at once, and what they hold is told.
func TestRecordsAheadOfAllClocks(t *testing.T) {
	h := doortest.Open(t, doortest.Reach(), doortest.Ahead(48*time.Hour))
	c, m := as(t, h, h.FullKey()), openMailbox(t)
	var hook webhook
	c.do("POST", "/v1/webhooks", map[string]any{"url": m.URL, "events": []string{"run.completed"}}).is(201).into(&hook)
	var made task
	c.do("POST", "/v1/tasks", `{"prompt":"hello"}`).is(201).into(&made)
	if _, said := m.next(t); said.Event != "run.completed" || said.ThreadID != made.ID {
		t.Fatalf("%+v", said)
	}
	c.do("POST", "/budget/increase", `{"amount":5}`).is(200)
	var records wire.List[wire.BillingRecord]
	c.do("GET", "/billing/records?period=day", nil).is(200).into(&records)
	if records.TotalCount != 1 || len(records.Data) != 1 || records.Data[0].Amount != 5_000_000 {
		t.Fatalf("%+v", records)
	}
}
