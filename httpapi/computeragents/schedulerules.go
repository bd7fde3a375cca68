package computeragents

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/actors/timetable"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Kinds of schedules.
const (
	oneTime   = "one-time"
	recurring = "recurring"
)

func kindOf(s state.Schedule) string {
	if s.Cron == "" {
		return oneTime
	}
	return recurring
}

// newSchedule makes a schedule of what a client sent, or says what is wrong
// with it.
func newSchedule(req wire.WriteSchedule) (state.Schedule, error) {
	s := state.Schedule{Enabled: true, Zone: "UTC"}
	switch {
	case strings.TrimSpace(req.Name.Value) == "":
		return s, unprocessable("name", "Missing required field: name")
	case strings.TrimSpace(req.Task.Value) == "":
		return s, unprocessable("task", "Missing required field: task")
	}
	if err := writeSchedule(&s, req); err != nil {
		return s, err
	}
	return s, checkKind(s, req)
}

// changeSchedule applies a PATCH to a schedule as it is.
func changeSchedule(s *state.Schedule, req wire.WriteSchedule) error {
	switch {
	case req.Name.Set && strings.TrimSpace(req.Name.Value) == "":
		return unprocessable("name", "name must not be empty")
	case req.Task.Set && strings.TrimSpace(req.Task.Value) == "":
		return unprocessable("task", "task must not be empty")
	case s.Thread != "" && req.EnvironmentID.Given() && req.EnvironmentID.Value != string(s.Environment):
		return unprocessable("environmentId", "environmentId cannot change: the schedule speaks in thread %s", s.Thread)
	case s.Thread != "" && req.AgentID.Set && req.AgentID.Value != string(s.Agent):
		return unprocessable("agentId", "agentId is that of thread %s, where the schedule speaks; change it there", s.Thread)
	}
	if err := writeSchedule(s, req); err != nil {
		return err
	}
	return checkKind(*s, req)
}

// checkKind holds a schedule's times to what the client says they are.
func checkKind(s state.Schedule, req wire.WriteSchedule) error {
	for _, said := range []struct{ field, kind string }{{"scheduleType", req.ScheduleType.Value}, {"type", req.Type.Value}} {
		kind := said.kind
		switch kind {
		case "":
			continue
		case "cron":
			kind = recurring
		case "once", "one_time":
			kind = oneTime
		}
		switch {
		case kind != recurring && kind != oneTime:
			return unprocessable(said.field, "%s must be one-time or recurring", said.field)
		case kind == recurring && s.Cron == "":
			return unprocessable("cronExpression", "a recurring schedule needs a cronExpression")
		case kind == oneTime && s.Cron != "":
			return unprocessable("scheduledTime", "a one-time schedule needs a scheduledTime and no cronExpression")
		}
	}
	if s.Cron == "" && s.At.IsZero() {
		return unprocessable("cronExpression", "Either 'cronExpression' or 'scheduledTime' must be provided")
	}
	return nil
}

// writeSchedule takes over every field that the request has.
func writeSchedule(s *state.Schedule, req wire.WriteSchedule) error {
	for _, f := range []struct {
		field string
		from  wire.Optional[string]
		into  *string
		check func(field, text string) error
	}{
		{"name", req.Name, &s.Name, name},
		{"description", req.Description, &s.Description, long},
		{"task", req.Task, &s.Task, task},
		{"agentId", req.AgentID, (*string)(&s.Agent), identifier},
		{"agentName", req.AgentName, &s.AgentName, name},
		{"environmentId", req.EnvironmentID, (*string)(&s.Environment), identifier},
		{"environmentName", req.EnvironmentName, &s.EnvironmentName, name},
		{"appId", req.AppID, &s.App, name},
		{"contextId", req.ContextID, &s.Context, name},
		{"contextName", req.ContextName, &s.ContextName, name},
		{"workspaceId", req.WorkspaceID, &s.Workspace, name},
		{"workspaceName", req.WorkspaceName, &s.WorkspaceName, name},
		{"timezone", req.Timezone, &s.Zone, name},
	} {
		if !f.from.Set {
			continue
		}
		if err := f.check(f.field, f.from.Value); err != nil {
			return err
		}
		*f.into = f.from.Value
	}
	if s.Zone == "" {
		s.Zone = "UTC"
	}
	if req.Enabled.Given() {
		s.Enabled = req.Enabled.Value
	}
	if req.Metadata.Set {
		m, err := object("metadata", req.Metadata.Value)
		if err != nil {
			return err
		}
		s.Metadata = m
	}
	return writeTimes(s, req)
}

// writeTimes takes over when it is due: an expression or a moment, the one in
// place of the other.
func writeTimes(s *state.Schedule, req wire.WriteSchedule) error {
	cron, at := req.CronExpression.Value != "", req.ScheduledTime.Value != ""
	switch {
	case cron && at:
		return unprocessable("scheduledTime", "scheduledTime and cronExpression are given; a schedule has one of them")
	case cron:
		s.Cron, s.At = strings.TrimSpace(req.CronExpression.Value), time.Time{}
	case at:
		moment, err := timetable.Local(req.ScheduledTime.Value, s.Zone)
		if err != nil {
			return err
		}
		s.Cron, s.At = "", moment
	case req.CronExpression.Set && s.Cron != "":
		return unprocessable("cronExpression", "cronExpression must not be empty, unless a scheduledTime takes its place")
	case req.ScheduledTime.Set && s.Cron == "" && !s.At.IsZero():
		return unprocessable("scheduledTime", "scheduledTime must not be empty, unless a cronExpression takes its place")
	}
	return nil
}

func task(field, text string) error {
	if len(text) > state.MaxMessageBytes {
		return invalid(field, "%s must be at most %d bytes", field, state.MaxMessageBytes)
	}
	return nil
}

// maxNameOfTask bounds the name that a schedule has from its task.
const maxNameOfTask = 60

// newScheduledThread checks what POST /threads asks for with a schedule.
func (a *API) newScheduledThread(req wire.CreateThread) (actors.NewThread, state.Schedule, error) {
	thread, run, err := a.newThread(req)
	if err != nil {
		return thread, state.Schedule{}, err
	}
	if run == nil {
		return thread, state.Schedule{}, unprocessable("messages", "a schedule needs a message: its task")
	}
	if field := unschedulable(req.PostMessage); field != "" {
		return thread, state.Schedule{}, unprocessable(field, "%s cannot be scheduled: give it to the agent or the environment", field)
	}
	write := req.Schedule.Value
	write.Task, write.AgentID, write.EnvironmentID = wire.Some(run.Content), wire.Some(req.AgentID), wire.Some(req.EnvironmentID)
	if !write.AppID.Set {
		write.AppID = wire.Some(req.AppID)
	}
	if write.Name.Value == "" {
		write.Name = wire.Some(nameOf(req.Title, run.Content))
	}
	s, err := newSchedule(write)
	return thread, s, within("schedule", validation(err))
}

// unschedulable names a field of a message that a schedule does not keep, or "".
func unschedulable(m wire.PostMessage) string {
	for field, given := range map[string]bool{"agentConfig": m.AgentConfig != nil, "mcpServers": len(m.MCPServers) > 0,
		"envVars": len(m.EnvVars) > 0, "secrets": len(m.Secrets) > 0, "setupScripts": len(m.SetupScripts) > 0,
		"internetAccess": m.InternetAccess != nil, "attachments": len(m.Attachments) > 0} {
		if given {
			return field
		}
	}
	return ""
}

// nameOf is the title, or else how the task begins.
func nameOf(title, task string) string {
	if title != "" {
		return title
	}
	line := ""
	for text := range strings.Lines(task) {
		if line = strings.Join(strings.Fields(text), " "); line != "" && !strings.HasPrefix(line, "```") {
			break
		}
	}
	if len(line) > maxNameOfTask {
		line = strings.ToValidUTF8(line[:maxNameOfTask], "") + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return -1
		}
		return r
	}, line)
}

// within names a field by the object it is in.
func within(object string, err error) error {
	var f *fault.Error
	if !errors.As(err, &f) || f.Field == "" {
		return err
	}
	return fault.New(f.Kind, "%s", f.Message).WithCode(f.Code).WithField(fmt.Sprintf("%s.%s", object, f.Field))
}
