package main

import (
	"strconv"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var costColumns = []column[wire.CostSummary]{
	{head: "from", cell: func(c wire.CostSummary) string { return when(c.StartDate) }},
	{head: "to", cell: func(c wire.CostSummary) string { return when(&c.EndDate) }},
	{head: "spent", cell: func(c wire.CostSummary) string { return dollars(c.Totals.TotalCost) }},
	{head: "on models", cell: func(c wire.CostSummary) string { return dollars(c.Totals.AgentCost) }},
	{head: "on computers", cell: func(c wire.CostSummary) string { return dollars(c.Totals.EnvironmentCost) }},
	{head: "threads", cell: func(c wire.CostSummary) string { return strconv.FormatInt(c.Totals.TotalThreads, 10) }},
	{head: "runs", cell: func(c wire.CostSummary) string { return strconv.FormatInt(c.Totals.TotalRuns, 10) }},
	{head: "tokens", cell: func(c wire.CostSummary) string {
		return strconv.FormatInt(c.Totals.InputTokens+c.Totals.OutputTokens, 10)
	}},
}

var dayColumns = []column[wire.BillingDay]{
	{head: "day", cell: func(d wire.BillingDay) string { return d.Date }},
	{head: "spent", cell: func(d wire.BillingDay) string { return dollars(d.Cost) }},
	{head: "runs", cell: func(d wire.BillingDay) string { return strconv.FormatInt(d.Runs, 10) }},
	{head: "tokens", cell: func(d wire.BillingDay) string { return strconv.FormatInt(d.Tokens, 10) }},
}

var recordColumns = []column[wire.BillingRecord]{
	{head: "id", cell: func(r wire.BillingRecord) string { return r.ID }},
	{head: "begun", cell: func(r wire.BillingRecord) string { return when(&r.CreatedAt) }},
	{head: "type", cell: func(r wire.BillingRecord) string { return r.Type }},
	{head: "amount", cell: func(r wire.BillingRecord) string { return dollars(r.Amount) }},
	{head: "what", cell: func(r wire.BillingRecord) string { return r.Description }},
	{head: "thread", cell: func(r wire.BillingRecord) string { return or(r.ThreadID) }},
}

var thingColumns = []column[wire.CostOfThing]{
	{head: "id", cell: func(c wire.CostOfThing) string { return c.ID }},
	{head: "name", cell: func(c wire.CostOfThing) string { return c.Name }},
	{head: "spent", cell: func(c wire.CostOfThing) string { return dollars(c.TotalCost) }},
	{head: "on models", cell: func(c wire.CostOfThing) string { return dollars(c.AgentCost) }},
	{head: "on computers", cell: func(c wire.CostOfThing) string { return dollars(c.EnvironmentCost) }},
	{head: "runs", cell: func(c wire.CostOfThing) string { return strconv.FormatInt(c.RunCount, 10) }},
}

func newBilling(t *terminal) *cobra.Command {
	cmd := &cobra.Command{Use: "billing", Short: "Show what was spent, and on what"}
	cmd.AddCommand(newBillingSummary(t), newBillingDaily(t), newBillingRecords(t), newBillingBy(t))
	return cmd
}

// billing is the bill of the key's own account.
func (t *terminal) billing() (client.Billing, error) {
	c, err := t.client()
	if err != nil {
		return client.Billing{}, err
	}
	return c.Billing(), nil
}

// spanFlags choose a period.
func spanFlags(cmd *cobra.Command, s *client.Span) {
	cmd.Flags().StringVar(&s.Period, "period", "", "day, week, month, year or all")
	cmd.Flags().StringVar(&s.From, "from", "", "the first UTC day, such as 2026-01-01")
	cmd.Flags().StringVar(&s.To, "to", "", "the last one")
}

func newBillingSummary(t *terminal) *cobra.Command {
	var span client.Span
	cmd := &cobra.Command{
		Use: "summary", Short: "Show what a period cost (default: this month)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := t.billing()
			if err != nil {
				return err
			}
			costs, err := b.Costs(cmd.Context(), span)
			if err != nil {
				return err
			}
			return showOne(t, costs, costColumns)
		},
	}
	spanFlags(cmd, &span)
	return cmd
}

func newBillingDaily(t *terminal) *cobra.Command {
	var span client.Span
	cmd := &cobra.Command{
		Use: "daily", Short: "Show what each day cost (default: the last 30)", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := t.billing()
			if err != nil {
				return err
			}
			days, err := b.Days(cmd.Context(), span)
			if err != nil {
				return err
			}
			return showList(t, wire.ListOf(days, false, len(days)), dayColumns)
		},
	}
	spanFlags(cmd, &span)
	return cmd
}

func newBillingRecords(t *terminal) *cobra.Command {
	var span client.Span
	var page client.Page
	var kind string
	cmd := &cobra.Command{
		Use: "records", Short: "List the lines of the bill, newest first", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			b, err := t.billing()
			if err != nil {
				return err
			}
			list, err := b.Records(cmd.Context(), span, kind, page)
			if err != nil {
				return err
			}
			return showList(t, list, recordColumns)
		},
	}
	spanFlags(cmd, &span)
	pageFlags(cmd.Flags(), &page)
	cmd.Flags().StringVar(&kind, "type", "", "charge, credit, execution or computer")
	return cmd
}

func newBillingBy(t *terminal) *cobra.Command {
	var span client.Span
	cmd := &cobra.Command{
		Use: "by environment|agent|model", Short: "Show on what a period's money went", Args: cobra.ExactArgs(1),
		ValidArgs: []string{"environment", "agent", "model"},
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := t.billing()
			if err != nil {
				return err
			}
			stats, err := b.Stats(cmd.Context(), span, args[0])
			if err != nil {
				return err
			}
			return showList(t, wire.ListOf(stats.Breakdown, false, len(stats.Breakdown)), thingColumns)
		},
	}
	spanFlags(cmd, &span)
	return cmd
}
