package httpapi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/httpapi/doortest"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// These are the requests that the product's own client makes of schedules, in
// its order, and the fields it reads.
func TestSchedulesAsTheClientAsks(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var agent wire.OneAgent
	c.do("POST", "/agents", `{"name":"R","model":"script"}`).is(201).into(&agent)
	var one wire.OneSchedule
	c.do("POST", "/schedules", `{"name":"Daily","agentId":"`+agent.Agent.ID+`","agentName":"R","task":"t","scheduleType":"recurring","cronExpression":"0 9 * * *"}`).is(201).into(&one)
	s := one.Schedule
	next := time.Now().UTC().Truncate(24 * time.Hour).Add(9 * time.Hour)
	if !next.After(time.Now()) {
		next = next.Add(24 * time.Hour)
	}
	if s.ScheduleType != "recurring" || *s.CronExpression != "0 9 * * *" || s.Timezone != "UTC" || !s.Enabled || *s.AgentName != "R" ||
		!s.NextRunAt.Equal(next) || s.EnvironmentID == "" || string(s.Metadata) != "{}" {
		t.Fatalf("%+v", s)
	}
	var list wire.List[wire.Schedule]
	c.do("GET", "/schedules?enabled=true&limit=1", nil).is(200).into(&list)
	if list.TotalCount != 1 || list.Data[0].ID != s.ID {
		t.Fatalf("%+v", list)
	}
	path := "/schedules/" + s.ID
	c.do("GET", path, nil).is(200).into(&one)
	c.do("PATCH", path, `{"task":"q"}`).is(200).into(&one)
	if one.Schedule.Task != "q" || !one.Schedule.NextRunAt.Equal(s.NextRunAt.Time) {
		t.Fatalf("%+v", one)
	}
	var did wire.TriggeredSchedule
	c.do("POST", path+"/trigger", nil).is(200).into(&did)
	if !did.Triggered || did.RunID == "" || *did.Thread.Title != "Daily" {
		t.Fatalf("%+v", did)
	}
	c.do("PATCH", path+"/enable", nil).is(200).into(&one)
	c.do("PATCH", path+"/disable", nil).is(200).into(&one)
	if one.Schedule.Enabled || one.Schedule.NextRunAt != nil || one.Schedule.RunCount != 1 {
		t.Fatalf("%+v", one.Schedule)
	}
	c.do("GET", "/schedules?enabled=true", nil).is(200).into(&list)
	if list.TotalCount != 0 {
		t.Fatalf("%+v", list)
	}
	var gone map[string]any
	c.do("DELETE", path, nil).is(200).into(&gone)
	if gone["deleted"] != true || gone["scheduleId"] != s.ID {
		t.Fatalf("%v", gone)
	}
	c.do("GET", path, nil).refused(404, "Schedule not found")
}

func TestWhatASchedulesClientsSend(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	soon := time.Now().Add(time.Hour).UTC().Truncate(time.Second)
	tests := map[string]struct {
		body, want string // a type, or what the refusal says
		status     int
	}{
		"as the README writes":      {`{"name":"a","task":"t","type":"cron","cronExpression":"0 9 * * *"}`, "recurring", 201},
		"a time says that it's one": {`{"name":"a","task":"t","scheduledTime":"` + soon.Format(time.RFC3339) + `","cronExpression":null,"agentId":null}`, "one-time", 201},
		"by a name":                 {`{"name":"a","task":"t","cronExpression":"@daily","timezone":"Asia/Tokyo"}`, "recurring", 201},
		"disabled":                  {`{"name":"a","task":"t","cronExpression":"0 9 * * *","enabled":false,"metadata":{"a":1},"workspaceId":"w","contextId":"c","appId":"x"}`, "recurring", 201},
		"no name":                   {`{"task":"t","cronExpression":"0 9 * * *"}`, "Missing required field: name", 422},
		"no task":                   {`{"name":"a","cronExpression":"0 9 * * *"}`, "Missing required field: task", 422},
		"a task of a wrong type":    {`{"name":"a","task":5,"cronExpression":"0 9 * * *"}`, "task must be a string", 422},
		"no times":                  {`{"name":"a","task":"t"}`, "Either 'cronExpression' or 'scheduledTime'", 422},
		"both":                      {`{"name":"a","task":"t","cronExpression":"0 9 * * *","scheduledTime":"2030-01-01T00:00:00Z"}`, "has one of them", 422},
		"recurring without":         {`{"name":"a","task":"t","scheduleType":"recurring","scheduledTime":"2030-01-01T00:00:00Z"}`, "needs a cronExpression", 422},
		"one-time without":          {`{"name":"a","task":"t","scheduleType":"one-time","cronExpression":"0 9 * * *"}`, "needs a scheduledTime", 422},
		"an unknown type":           {`{"name":"a","task":"t","scheduleType":"sometimes","cronExpression":"0 9 * * *"}`, "scheduleType must be one-time or recurring", 422},
		"seconds":                   {`{"name":"a","task":"t","cronExpression":"0 0 9 * * *"}`, "five fields", 422},
		"an hour too many":          {`{"name":"a","task":"t","cronExpression":"0 24 * * *"}`, "is not a cron expression", 422},
		"never":                     {`{"name":"a","task":"t","cronExpression":"0 0 31 2 *"}`, "never comes", 422},
		"never, disabled":           {`{"name":"a","task":"t","cronExpression":"0 0 31 2 *","enabled":false}`, "never comes", 422},
		"a zone inside":             {`{"name":"a","task":"t","cronExpression":"TZ=UTC 0 9 * * *"}`, "timezone", 422},
		"a zone that is none":       {`{"name":"a","task":"t","cronExpression":"0 9 * * *","timezone":"Mars/Olympus"}`, "timezone", 422},
		"a time that is over":       {`{"name":"a","task":"t","scheduledTime":"2020-01-01T00:00:00Z"}`, "is in the past", 422},
		"a time that is none":       {`{"name":"a","task":"t","scheduledTime":"tomorrow"}`, "not an ISO 8601 time", 422},
		"an unknown agent":          {`{"name":"a","task":"t","cronExpression":"0 9 * * *","agentId":"agent_none"}`, "Agent not found", 404},
		"an unknown environment":    {`{"name":"a","task":"t","cronExpression":"0 9 * * *","environmentId":"env_none"}`, "Environment not found", 404},
		"a task that is too long":   {`{"name":"a","task":"` + strings.Repeat("x", 300<<10) + `","cronExpression":"0 9 * * *"}`, "task must be at most 262144 bytes", 422},
		"malformed":                 {`{"name"`, "not valid JSON", 400},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := *c
			c.t = t
			r := c.do("POST", "/v1/schedules", tt.body)
			if tt.status == 201 {
				var made wire.OneSchedule
				if r.is(201).into(&made); made.Schedule.ScheduleType != tt.want {
					t.Fatalf("%+v", made)
				}
				return
			}
			if e := r.refused(tt.status, tt.want); tt.status == 422 && e.Code != "VALIDATION_FAILED" {
				t.Fatalf("%+v", e)
			}
		})
	}
	var list wire.List[wire.Schedule]
	for query, want := range map[string]int{"": 4, "?scheduleType=one-time": 1, "?enabled=false": 1, "?appId=x": 1, "?appId=y": 0, "?environmentId=env_none": 0} {
		c.do("GET", "/schedules"+query, nil).is(200).into(&list)
		if list.TotalCount != want {
			t.Errorf("%q finds %d, want %d", query, list.TotalCount, want)
		}
	}
	c.do("GET", "/schedules?scheduleType=odd", nil).refused(400, "scheduleType")
}

func TestChangingWhenAScheduleIsDue(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	var one wire.OneSchedule
	c.do("POST", "/schedules", `{"name":"a","task":"t","cronExpression":"0 9 * * *"}`).is(201).into(&one)
	path := "/schedules/" + one.Schedule.ID
	c.do("PATCH", path, `{"cronExpression":null,"scheduledTime":"2099-01-01T09:00","timezone":"America/New_York"}`).is(200).into(&one)
	if s := one.Schedule; s.ScheduleType != "one-time" || s.CronExpression != nil || s.NextRunAt.Format(time.RFC3339) != "2099-01-01T14:00:00Z" {
		t.Fatalf("%+v", s)
	}
	c.do("PATCH", path, `{"cronExpression":"*/5 * * * *"}`).is(200).into(&one)
	if s := one.Schedule; s.ScheduleType != "recurring" || s.ScheduledTime != nil {
		t.Fatalf("%+v", s)
	}
	c.do("PATCH", path, `{"cronExpression":null}`).refused(422, "cronExpression must not be empty")
	c.do("PATCH", path, `{"cronExpression":"61 * * * *"}`).refused(422, "is not a cron expression")
	c.do("PATCH", path, `{"timezone":"x"}`).refused(422, "timezone")
	c.do("PATCH", path, `{"name":" "}`).refused(422, "name")
	c.do("PATCH", path, `{"enabled":false}`).is(200).into(&one)
	if one.Schedule.NextRunAt != nil {
		t.Fatalf("%+v", one.Schedule)
	}
	c.do("PATCH", path, `{"enabled":true}`).is(200).into(&one)
	if one.Schedule.NextRunAt == nil {
		t.Fatalf("%+v", one.Schedule)
	}
	_, key := h.NewAccount("rival", 10_000_000)
	rival := as(t, h, key)
	for _, r := range [][2]string{{"GET", path}, {"PATCH", path}, {"DELETE", path}, {"POST", path + "/trigger"}, {"PATCH", path + "/enable"}, {"PATCH", path + "/disable"}} {
		rival.do(r[0], r[1], `{}`).refused(404, "Schedule not found")
	}
	reader := as(t, h, h.NewKey(actors.NewKey{Account: h.Account.ID, Scopes: []string{"schedules:read", "threads:write"}}))
	reader.do("GET", path, nil).is(200)
	reader.do("DELETE", path, nil).refused(403, "schedules:write")
	reader.do("POST", "/threads", `{"content":"x","schedule":{"cronExpression":"0 9 * * *"}}`).refused(403, "schedules:write")
}

func TestAThreadWithAScheduleRunsLater(t *testing.T) {
	h := doortest.Open(t)
	c := as(t, h, h.Key)
	soon := time.Now().Add(1500 * time.Millisecond).UTC().Truncate(time.Millisecond) // as replies tell times
	var made wire.ScheduledThread
	c.do("POST", "/v1/threads", `{"messages":[{"role":"user","content":"say hello"}],"title":"standup","schedule":{"type":"once","scheduledTime":"`+soon.Format(time.RFC3339Nano)+`"}}`,
		"Idempotency-Key", "k").is(201).into(&made)
	if made.Thread.Status != "active" || made.Thread.MessageCount != 0 || *made.Schedule.ThreadID != made.Thread.ID || made.Schedule.Task != "say hello" || made.Schedule.Name != "standup" {
		t.Fatalf("%+v", made)
	}
	var again wire.ScheduledThread
	c.do("POST", "/v1/threads", `{"messages":[{"role":"user","content":"say hello"}],"title":"standup","schedule":{"type":"once","scheduledTime":"`+soon.Format(time.RFC3339Nano)+`"}}`,
		"Idempotency-Key", "k").is(201).into(&again)
	if again.Thread.ID != made.Thread.ID || again.Schedule.ID != made.Schedule.ID {
		t.Fatalf("%+v", again)
	}
	resp := c.open("GET", "/threads/"+made.Thread.ID+"/events", nil)
	defer resp.Body.Close()
	lines := stream(t, resp.Body, func(l line) bool { return l.Type == "stream.completed" })
	if len(lines) == 0 || lines[len(lines)-1].Run.Status != "success" {
		t.Fatalf("%v", types(lines))
	}
	var one wire.OneSchedule
	c.do("GET", "/schedules/"+made.Schedule.ID, nil).is(200).into(&one)
	if s := one.Schedule; s.Enabled || s.RunCount != 1 || s.SuccessCount != 1 || s.LastRunAt.Before(soon) {
		t.Fatalf("%+v", s)
	}
	c.do("PATCH", "/schedules/"+made.Schedule.ID, `{"agentId":"agent_x"}`).refused(422, "agentId")
	c.do("DELETE", "/threads/"+made.Thread.ID, nil).is(200)
	c.do("GET", "/schedules/"+made.Schedule.ID, nil).refused(404, "Schedule not found")
	var none wire.List[wire.Thread]
	c.do("POST", "/threads", `{"content":"x","schedule":{"cronExpression":"0 9 * *"}}`).refused(422, "five fields")
	if c.do("GET", "/threads", nil).is(200).into(&none); none.TotalCount != 0 {
		t.Fatalf("a refused schedule left %d threads", none.TotalCount)
	}
}
