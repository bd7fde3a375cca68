package main

import (
	"context"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var scheduleColumns = []column[wire.Schedule]{
	{head: "id", cell: func(s wire.Schedule) string { return s.ID }},
	{head: "name", cell: func(s wire.Schedule) string { return s.Name }},
	{head: "times", cell: times},
	{head: "enabled", cell: func(s wire.Schedule) string { return yes(s.Enabled) }},
	{head: "next", cell: func(s wire.Schedule) string { return when(s.NextRunAt) }},
	{head: "last", cell: func(s wire.Schedule) string { return when(s.LastRunAt) }},
	{head: "runs", cell: func(s wire.Schedule) string { return strconv.FormatInt(s.RunCount, 10) }},
	{head: "failed", cell: func(s wire.Schedule) string { return strconv.FormatInt(s.FailureCount, 10) }},
	{head: "missed", cell: func(s wire.Schedule) string { return strconv.FormatInt(s.MissedCount, 10) }},
	{head: "task", cell: func(s wire.Schedule) string { return s.Task }, long: true},
	{head: "agent", cell: func(s wire.Schedule) string { return or(s.AgentID) }, long: true},
	{head: "environment", cell: func(s wire.Schedule) string { return s.EnvironmentID }, long: true},
	{head: "thread", cell: func(s wire.Schedule) string { return or(s.ThreadID) }, long: true},
	{head: "last run", cell: func(s wire.Schedule) string { return or(s.LastRunID) }, long: true},
	{head: "last error", cell: func(s wire.Schedule) string { return or(s.LastError) }, long: true},
}

// times is when a schedule is due, for people.
func times(s wire.Schedule) string {
	if s.CronExpression == nil {
		return "once, " + when(s.ScheduledTime)
	}
	return *s.CronExpression + " " + s.Timezone
}

func newSchedules(t *terminal) *cobra.Command {
	return noun[wire.Schedule]{
		name: "schedules", one: "schedule", aliases: []string{"schedule"}, columns: scheduleColumns,
		list: func(ctx context.Context, c *client.Client, p client.Page) (wire.List[wire.Schedule], error) {
			return c.Schedules().List(ctx, p)
		},
		get: func(ctx context.Context, c *client.Client, id string) (wire.Schedule, error) {
			return c.Schedules().Get(ctx, id)
		},
		remove: func(ctx context.Context, c *client.Client, id string) error { return c.Schedules().Delete(ctx, id) },
	}.command(t, newCreateSchedule(t), newSwitchSchedule(t, "enable", "Let a schedule run at its times, from now on", client.Schedules.Enable),
		newSwitchSchedule(t, "disable", "Let a schedule's times pass", client.Schedules.Disable), newTriggerSchedule(t))
}

func newCreateSchedule(t *terminal) *cobra.Command {
	var name, cron, at, zone, env, agent string
	var disabled bool
	cmd := &cobra.Command{
		Use: "create TASK", Short: "Say a task to an agent once, or again and again", Args: cobra.ExactArgs(1),
		Long: `Say a task to an agent at a time, or again and again.

--cron is minute, hour, day of month, month and day of week ("0 9 * * MON-FRI"), or @hourly, @daily, @weekly,
@monthly, @yearly. --at is ISO 8601 (2026-12-24T18:00). Both are in --timezone.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if (cron == "") == (at == "") {
				return usage("give --cron or --at")
			}
			if name == "" {
				name, _, _ = strings.Cut(strings.TrimSpace(args[0]), "\n")
			}
			w := wire.WriteSchedule{Name: wire.Some(name), Task: wire.Some(args[0]), CronExpression: given(cron), ScheduledTime: given(at),
				Timezone: given(zone), EnvironmentID: given(env), AgentID: given(agent), Enabled: wire.Some(!disabled)}
			c, err := t.client()
			if err != nil {
				return err
			}
			made, err := c.Schedules().Create(cmd.Context(), w)
			if err != nil {
				return err
			}
			return showOne(t, made, scheduleColumns)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&name, "name", "", "what it is called (default: the task's first line)")
	flags.StringVar(&cron, "cron", "", "a cron expression")
	flags.StringVar(&at, "at", "", "a time, for once")
	flags.StringVar(&zone, "timezone", "", "of the times, such as Europe/Berlin (default UTC)")
	flags.StringVar(&env, "env", "", "the environment (default: the account's default)")
	flags.StringVar(&agent, "agent", "", "who does it")
	flags.BoolVar(&disabled, "disabled", false, "keep it, and let its times pass until it is enabled")
	return cmd
}

// given is a field with a value, or an absent one.
func given(text string) wire.Optional[string] {
	if text == "" {
		return wire.Optional[string]{}
	}
	return wire.Some(text)
}

func newSwitchSchedule(t *terminal, verb, short string, change func(client.Schedules, context.Context, string) (wire.Schedule, error)) *cobra.Command {
	return &cobra.Command{
		Use: verb + " ID", Short: short, Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			s, err := change(c.Schedules(), cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return showOne(t, s, scheduleColumns)
		},
	}
}

func newTriggerSchedule(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "trigger ID", Short: "Run a schedule's task now", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			did, err := c.Schedules().Trigger(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			return t.did(did, "began run %s in thread %s", did.RunID, did.Thread.ID)
		},
	}
}
