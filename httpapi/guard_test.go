package httpapi_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/httpapi"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestKeysAndScopes(t *testing.T) {
	h := doortest.Open(t)
	reads := h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"threads:read"}})
	runs := h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"execute"}})
	pays := h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"billing:write"}})
	tests := map[string]struct {
		key, method, path string
		body              any
		status            int
	}{
		"no key":                         {"", "GET", "/threads", nil, 401},
		"a wrong key":                    {"tb_wrong", "GET", "/threads", nil, 401},
		"a very long key":                {strings.Repeat("k", 4000), "GET", "/threads", nil, 401},
		"a scope it has":                 {reads, "GET", "/threads", nil, 200},
		"a scope it lacks":               {reads, "GET", "/agents", nil, 403},
		"writing with reading":           {reads, "POST", "/threads", `{}`, 403},
		"running with execute":           {runs, "POST", "/threads", `{"content":"hi","stream":false}`, 200},
		"an empty thread with execute":   {runs, "POST", "/threads", `{}`, 403},
		"* without billing:write":        {h.Key, "POST", "/budget/increase", `{"amount":1}`, 403},
		"lowering a limit with *":        {h.Key, "PATCH", "/billing/budget", `{"dailyLimit":5}`, 200},
		"billing:write":                  {pays, "POST", "/v1/billing/budget/increase", `{"amount":1.5}`, 200},
		"admin routes without admin":     {h.Key, "GET", "/v1/admin/status", nil, 403},
		"admin routes with an admin key": {h.AdminKey, "GET", "/v1/admin/status", nil, 200},
		"health without a key":           {"", "GET", "/health", nil, 200},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := as(t, h, tt.key).do(tt.method, tt.path, tt.body).is(tt.status)
			if tt.status == 401 {
				if e := r.refused(401, "Invalid or missing API key"); e.Error != "Unauthorized" {
					t.Fatalf("%+v", e)
				}
			}
		})
	}
	as(t, h, "").do("GET", "/threads", nil, "X-API-Key", h.Key).is(200)
}

func TestLimitsAreRaisedOnlyByWhoMayPay(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var b wire.Budget
	c.do("PATCH", "/billing/budget", `{"dailyLimit":5,"monthlyLimit":20.25}`).is(200).into(&b)
	if *b.DailyLimit != 5_000_000 || *b.MonthlyLimit != 20_250_000 || b.Balance != 10_000_000 {
		t.Fatalf("%+v", b)
	}
	c.do("PATCH", "/billing/budget", `{"dailyLimit":6}`).refused(403, "billing:write")
	c.do("PATCH", "/billing/budget", `{"monthlyLimit":null}`).refused(403, "billing:write")
	c.do("PATCH", "/billing/budget", `{"dailyLimit":1}`).is(200)
	var sum wire.CostSummary
	c.do("GET", "/costs/summary", nil).is(200).into(&sum)
	if sum.Period != "month" || sum.StartDate == nil {
		t.Fatalf("%+v", sum)
	}
	c.do("GET", "/costs/summary?period=all", nil).is(200)
}

func TestAnotherAccountsThingsAreNotFound(t *testing.T) {
	h := doortest.Open(t)
	mine, _ := as(t, h, h.Key), h.Account
	_, key := h.NewAccount("rival", 10_000_000)
	theirs := as(t, h, key)
	done := run(mine, hello)
	var agent wire.OneAgent
	mine.do("POST", "/agents", `{"name":"a","model":"script"}`).is(201).into(&agent)
	thread, env := "/threads/"+done.Thread.ID, "/environments/"+done.Thread.EnvironmentID
	for _, r := range []struct {
		method, path string
		body         any
	}{
		{"GET", thread, nil}, {"PATCH", thread, `{"title":"x"}`}, {"DELETE", thread, nil}, {"GET", thread + "/messages", nil},
		{"POST", thread + "/messages", `{"content":"x"}`}, {"GET", thread + "/events", nil}, {"POST", thread + "/cancel", nil},
		{"POST", thread + "/resume", nil}, {"POST", thread + "/copy", nil},
		{"GET", "/agents/" + agent.Agent.ID, nil}, {"PATCH", "/agents/" + agent.Agent.ID, `{"name":"x"}`}, {"DELETE", "/agents/" + agent.Agent.ID, nil},
		{"GET", env, nil}, {"PATCH", env, `{"name":"x"}`}, {"PUT", env, `{"name":"x"}`}, {"DELETE", env + "?hard=true", nil},
		{"POST", env + "/set-default", nil}, {"POST", env + "/start", nil}, {"POST", env + "/stop", nil}, {"GET", env + "/status", nil},
		{"POST", "/threads", map[string]any{"environmentId": done.Thread.EnvironmentID, "content": "x"}},
		{"POST", "/threads", map[string]any{"agentId": agent.Agent.ID}},
	} {
		if got := theirs.do(r.method, r.path, r.body); got.status != 404 {
			t.Errorf("%s %s: %d %s", r.method, r.path, got.status, got.body)
		}
	}
	var list wire.List[wire.Thread]
	theirs.do("GET", "/threads?environmentId="+done.Thread.EnvironmentID, nil).is(200).into(&list)
	if list.TotalCount != 0 {
		t.Fatalf("%+v", list)
	}
	mine.do("GET", thread, nil).is(200)
}

func TestAnIdempotencyKeyMakesOneThing(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var first, second wire.OneThread
	c.do("POST", "/threads", `{"title":"x"}`, "Idempotency-Key", "k1").is(201).into(&first)
	c.do("POST", "/v1/threads", `{"title":"x"}`, "Idempotency-Key", "k1").is(201).into(&second)
	if first.Thread.ID != second.Thread.ID {
		t.Fatal("two threads")
	}
	e := c.do("POST", "/threads", `{"title":"y"}`, "Idempotency-Key", "k1").refused(422, "another request")
	if e.Code != "IDEMPOTENCY_KEY_REUSED" {
		t.Fatalf("%+v", e)
	}
	c.do("POST", "/threads", `{}`, "Idempotency-Key", strings.Repeat("k", 300)).refused(400, "Idempotency-Key")
	body := map[string]any{"content": hello}
	a := c.open("POST", "/threads", body, "Idempotency-Key", "k2")
	defer a.Body.Close()
	b := c.open("POST", "/threads", body, "Idempotency-Key", "k2")
	defer b.Body.Close()
	one, two := stream(t, a.Body, nil), stream(t, b.Body, nil)
	if one[0].Thread.ID != two[0].Thread.ID || one[len(one)-1].Event.Run.ID != two[len(two)-1].Event.Run.ID {
		t.Fatal("two runs")
	}
}

func TestNeverMoreThanTheLimitAreAdmitted(t *testing.T) {
	const limit = 60
	h := doortest.Open(t, doortest.With(func(o *httpapi.Options) { o.Requests = limit }))
	c := as(t, h, h.Key)
	var admitted, refused atomic.Int64
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 15 {
				resp := c.open("GET", "/agents", nil)
				resp.Body.Close()
				switch resp.StatusCode {
				case 200:
					admitted.Add(1)
				case 429:
					refused.Add(1)
				}
				if resp.Header.Get("RateLimit-Limit") != fmt.Sprint(limit) {
					t.Errorf("RateLimit-Limit %q", resp.Header.Get("RateLimit-Limit"))
				}
			}
		})
	}
	all.Wait()
	if admitted.Load() != limit || refused.Load() != 8*15-limit {
		t.Fatalf("%d admitted, %d refused", admitted.Load(), refused.Load())
	}
	r := c.do("GET", "/agents", nil)
	if e := r.refused(429, "Rate limit exceeded. Please try again later."); e.Error != "Too many requests" {
		t.Fatalf("%+v", e)
	}
	if r.header.Get("Retry-After") == "" || r.header.Get("RateLimit-Remaining") != "0" {
		t.Fatalf("%v", r.header)
	}
	as(t, h, h.AdminKey).do("GET", "/agents", nil).is(200)
	as(t, h, h.Key).do("GET", "/readyz", nil).is(200)
}

func TestWithoutMoneyNothingRuns(t *testing.T) {
	h := doortest.Open(t)
	_, key := h.NewAccount("poor", 0)
	c := as(t, h, key)
	e := c.do("POST", "/threads", `{"content":"hi"}`).refused(402, "Insufficient budget to execute")
	if e.Error != "Payment Required" || e.Code != "INSUFFICIENT_BUDGET" || e.BudgetStatus == nil || e.Details == nil {
		t.Fatalf("%+v", e)
	}
	var list wire.List[wire.Thread]
	c.do("GET", "/threads", nil).is(200).into(&list)
	if list.TotalCount != 0 {
		t.Fatal("a thread was made all the same")
	}
}

func TestWithoutALeaderRecordsAreStaleAndListsFail(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var made wire.OneThread
	c.do("POST", "/threads", `{}`).is(201).into(&made)
	var gone atomic.Bool
	h.Records.Cut(gone.Load)
	gone.Store(true)
	r := c.do("GET", "/threads/"+made.Thread.ID, nil).is(200)
	if r.header.Get("X-Bothy-Stale") != "true" {
		t.Fatal("not marked stale")
	}
	if r := c.do("GET", "/threads", nil); r.header.Get("Retry-After") == "" {
		t.Fatalf("%d: no Retry-After", r.status)
	} else {
		r.refused(503, "")
	}
	c.do("GET", "/threads/thread_unknown", nil).refused(503, "")
	r = c.do("GET", "/threads?consistency=stale", nil).is(200)
	if r.header.Get("X-Bothy-Stale") != "true" {
		t.Fatal("not marked stale")
	}
	c.do("GET", "/threads/thread_unknown?consistency=stale", nil).refused(404, "")
	c.do("GET", "/readyz", nil).is(503)
	c.do("GET", "/healthz", nil).is(200)
	var health wire.Health
	c.do("GET", "/health", nil).is(503).into(&health)
	if health.Status != "unhealthy" {
		t.Fatalf("%+v", health)
	}
}
