package computeragents

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const writeSchedules = "schedules:write"

func (a *API) scheduleRoutes() []door.Route {
	read, write, run := []string{"schedules:read"}, []string{writeSchedules}, []string{writeSchedules, execute}
	return []door.Route{
		{Method: "GET", Path: "/schedules", Scopes: read, Serve: a.Handle(a.listSchedules)},
		{Method: "POST", Path: "/schedules", Scopes: write, Serve: a.Handle(a.createSchedule)},
		{Method: "GET", Path: "/schedules/:id", Scopes: read, Serve: a.Handle(a.getSchedule)},
		{Method: "PATCH", Path: "/schedules/:id", Scopes: write, Serve: a.Handle(a.patchSchedule)},
		{Method: "DELETE", Path: "/schedules/:id", Scopes: write, Serve: a.Handle(a.deleteSchedule)},
		{Method: "POST", Path: "/schedules/:id/trigger", Scopes: run, Serve: a.Handle(a.triggerSchedule)},
		{Method: "PATCH", Path: "/schedules/:id/enable", Scopes: write, Serve: a.Handle(a.enableSchedule(true))},
		{Method: "PATCH", Path: "/schedules/:id/disable", Scopes: write, Serve: a.Handle(a.enableSchedule(false))},
	}
}

func scheduleID(c *gin.Context) (state.ScheduleID, error) {
	id, err := door.ID(c, "id", "Schedule")
	return state.ScheduleID(id), err
}

// listSchedules serves GET /schedules.
func (a *API) listSchedules(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	keep, err := scheduleFilter(c)
	if err != nil {
		return err
	}
	var list state.List[state.Schedule]
	err = a.LookAll(c, func(v *state.View) (err error) {
		list, err = v.Schedules(door.CallerOf(c).Account, page, keep)
		return err
	})
	if err == nil {
		a.ok(c, listOf(list, page, scheduleOf))
	}
	return err
}

// scheduleFilter is nil when all are asked for.
func scheduleFilter(c *gin.Context) (func(state.Schedule) bool, error) {
	enabled, given, err := door.Flag(c, "enabled")
	if err != nil {
		return nil, err
	}
	kind := c.Query("scheduleType")
	if kind != "" && kind != oneTime && kind != recurring {
		return nil, invalid("scheduleType", "scheduleType must be one-time or recurring")
	}
	agent, env, app := c.Query("agentId"), c.Query("environmentId"), c.Query("appId")
	if !given && kind+agent+env+app == "" {
		return nil, nil
	}
	same := func(want, have string) bool { return want == "" || want == have }
	return func(s state.Schedule) bool {
		return (!given || s.Enabled == enabled) && same(kind, kindOf(s)) && same(agent, string(s.Agent)) &&
			same(env, string(s.Environment)) && same(app, s.App)
	}, nil
}

// createSchedule serves POST /schedules.
func (a *API) createSchedule(c *gin.Context) error {
	var req wire.WriteSchedule
	if err := validation(a.Read(c, &req)); err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	s, err := newSchedule(req)
	if err != nil {
		return validation(err)
	}
	s, err = a.Schedules.Create(c.Request.Context(), caller, s, nil)
	if err != nil {
		return validation(err)
	}
	c.JSON(http.StatusCreated, wire.OneSchedule{Schedule: scheduleOf(s)})
	return nil
}

// getSchedule serves GET /schedules/:id.
func (a *API) getSchedule(c *gin.Context) error {
	id, err := scheduleID(c)
	if err != nil {
		return err
	}
	s, err := get(a, c, func(v *state.View, account state.AccountID) (state.Schedule, error) { return v.Schedule(account, id) })
	if err == nil {
		a.ok(c, wire.OneSchedule{Schedule: scheduleOf(s)})
	}
	return err
}

// patchSchedule serves PATCH /schedules/:id.
func (a *API) patchSchedule(c *gin.Context) error {
	var req wire.WriteSchedule
	if err := validation(a.Read(c, &req)); err != nil {
		return err
	}
	return a.changeSchedule(c, func(s *state.Schedule) error { return changeSchedule(s, req) })
}

// enableSchedule serves PATCH /schedules/:id/enable and /disable, which have no body.
func (a *API) enableSchedule(to bool) func(*gin.Context) error {
	return func(c *gin.Context) error {
		return a.changeSchedule(c, func(s *state.Schedule) error { s.Enabled = to; return nil })
	}
}

func (a *API) changeSchedule(c *gin.Context, change func(*state.Schedule) error) error {
	id, err := scheduleID(c)
	if err != nil {
		return err
	}
	s, err := a.Schedules.Update(c.Request.Context(), door.CallerOf(c), id, change)
	if err != nil {
		return validation(err)
	}
	a.ok(c, wire.OneSchedule{Schedule: scheduleOf(s)})
	return nil
}

// deleteSchedule serves DELETE /schedules/:id.
func (a *API) deleteSchedule(c *gin.Context) error {
	id, err := scheduleID(c)
	if err != nil {
		return err
	}
	if err := a.Schedules.Delete(c.Request.Context(), door.CallerOf(c), id); err != nil {
		return err
	}
	a.ok(c, wire.DeletedSchedule{Success: true, Deleted: true, ScheduleID: string(id)})
	return nil
}

// triggerSchedule serves POST /schedules/:id/trigger.
func (a *API) triggerSchedule(c *gin.Context) error {
	id, err := scheduleID(c)
	if err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	started, err := a.Schedules.Trigger(c.Request.Context(), caller, id)
	if err != nil {
		return err
	}
	a.OwnerNow(c, started.Thread.Computer)
	a.ok(c, wire.TriggeredSchedule{RunID: string(started.Run.ID), Triggered: true, Thread: threadOf(started.Thread),
		Message: "Schedule triggered"})
	return nil
}

// scheduleThread serves POST /threads with a schedule: a thread in which
// nothing runs before the schedule's time.
func (a *API) scheduleThread(c *gin.Context, req wire.CreateThread) error {
	if err := door.Require(c, writeSchedules); err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	thread, s, err := a.newScheduledThread(req)
	if err != nil {
		return err
	}
	s, err = a.Schedules.Create(c.Request.Context(), caller, s, &thread)
	if err != nil {
		return within("schedule", validation(err))
	}
	made, err := get(a, c, func(v *state.View, account state.AccountID) (state.Thread, error) { return v.Thread(account, s.Thread) })
	if err != nil {
		return err
	}
	a.OwnerNow(c, made.Computer)
	c.JSON(http.StatusCreated, wire.ScheduledThread{Thread: threadOf(made), Schedule: scheduleOf(s)})
	return nil
}

// scheduleOf is a schedule on the wire.
func scheduleOf(s state.Schedule) wire.Schedule {
	return wire.Schedule{
		ID: string(s.ID), UserID: string(s.User), Name: s.Name, Description: maybe(s.Description), Task: s.Task,
		AgentID: maybe(s.Agent), AgentName: maybe(s.AgentName), EnvironmentID: string(s.Environment),
		EnvironmentName: maybe(s.EnvironmentName), ThreadID: maybe(s.Thread), AppID: maybe(s.App), ContextID: maybe(s.Context),
		ContextName: maybe(s.ContextName), WorkspaceID: maybe(s.Workspace), WorkspaceName: maybe(s.WorkspaceName),
		ScheduleType: kindOf(s), CronExpression: maybe(s.Cron), ScheduledTime: wire.Maybe(s.At), Timezone: s.Zone,
		Enabled: s.Enabled, NextRunAt: wire.Maybe(s.NextRunAt), LastRunAt: wire.Maybe(s.LastRunAt), LastRunID: maybe(s.LastRun),
		LastError: maybe(s.LastError), RunCount: s.Runs, SuccessCount: s.Succeeded, FailureCount: s.Failed, MissedCount: s.Missed,
		Metadata: rawObject(s.Metadata), CreatedAt: wire.At(s.CreatedAt), UpdatedAt: wire.At(s.UpdatedAt),
	}
}
