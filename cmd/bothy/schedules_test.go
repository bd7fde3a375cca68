package main

import (
	"testing"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

func TestVerbsOfSchedules(t *testing.T) {
	cron := "0 9 * * MON-FRI"
	schedule := wire.OneSchedule{Schedule: wire.Schedule{ID: "sched_1", Name: "standup", CronExpression: &cron, Timezone: "Europe/Berlin", Enabled: true, MissedCount: 3}}
	tests := map[string]verb{
		"ls": {"schedules ls", "GET /v1/schedules", wire.ListOf([]wire.Schedule{schedule.Schedule}, false, 1), "", []string{"sched_1", "0 9 * * MON-FRI Europe/Berlin", "3"}},
		"create": {"schedules create standup --cron @daily --timezone Europe/Berlin --env env_1", "POST /v1/schedules", schedule,
			`POST /v1/schedules {"name":"standup","task":"standup","environmentId":"env_1","cronExpression":"@daily","timezone":"Europe/Berlin","enabled":true}`, []string{"sched_1"}},
		"get":     {"schedules get sched_1", "GET /v1/schedules/sched_1", schedule, "", []string{"standup"}},
		"enable":  {"schedules enable sched_1", "PATCH /v1/schedules/sched_1/enable", schedule, "", []string{"sched_1"}},
		"disable": {"schedules disable sched_1", "PATCH /v1/schedules/sched_1/disable", schedule, "", []string{"sched_1"}},
		"trigger": {"schedules trigger sched_1", "POST /v1/schedules/sched_1/trigger", wire.TriggeredSchedule{RunID: "run_1", Thread: wire.Thread{ID: "thread_1"}}, "", []string{"run_1", "thread_1"}},
		"rm":      {"schedules rm sched_1", "DELETE /v1/schedules/sched_1", wire.DeletedSchedule{Success: true}, "", []string{"removed schedule sched_1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { tt.check(t) })
	}
	a := newAPI(t, nil)
	if code := newShell(t, a.URL).run("schedules", "create", "x"); code != exitUsage {
		t.Errorf("exit %d without times", code)
	}
}
