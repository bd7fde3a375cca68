package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

var taskColumns = []column[wire.TaskInFull]{
	{head: "id", cell: func(t wire.TaskInFull) string { return t.ID }},
	{head: "title", cell: func(t wire.TaskInFull) string { return t.Title }},
	{head: "status", cell: func(t wire.TaskInFull) string { return t.Status }},
	{head: "executor", cell: func(t wire.TaskInFull) string { return t.Executor }},
	{head: "model", cell: func(t wire.TaskInFull) string { return t.Model }},
	{head: "computer", cell: func(t wire.TaskInFull) string { return t.WorkspaceID }},
	{head: "created", cell: func(t wire.TaskInFull) string { return when(&t.CreatedAt) }},
	{head: "completed", cell: func(t wire.TaskInFull) string { return when(t.CompletedAt) }, long: true},
	{head: "visibility", cell: func(t wire.TaskInFull) string { return t.Visibility }, long: true},
	{head: "url", cell: func(t wire.TaskInFull) string { return t.URL }, long: true},
	{head: "prompts", cell: func(t wire.TaskInFull) string { return strconv.Itoa(len(t.Prompts)) }, long: true},
	{head: "result", cell: func(t wire.TaskInFull) string { return t.FinalResult }, long: true},
}

func newTasks(t *terminal) *cobra.Command {
	cmd := noun[wire.TaskInFull]{
		name: "tasks", one: "task", aliases: []string{"task"}, columns: taskColumns,
		list: func(ctx context.Context, c *client.Client, p client.Page) (wire.List[wire.TaskInFull], error) {
			page, err := c.Tasks().List(ctx, p)
			var all []wire.TaskInFull
			for _, one := range page.Data {
				all = append(all, wire.TaskInFull{Task: one})
			}
			return wire.ListOf(all, page.Offset+len(all) < page.Total, page.Total), err
		},
		get: func(ctx context.Context, c *client.Client, id string) (wire.TaskInFull, error) {
			return c.Tasks().Get(ctx, id)
		},
		remove: func(ctx context.Context, c *client.Client, id string) error { return c.Tasks().Delete(ctx, id) },
	}.command(t, newCreateTask(t), newPrompt(t), newWatchTask(t), newCancelTask(t), newShareTask(t))
	cmd.Long = "Work for computers, one prompt after the other. `bothy tasks watch ID` shows what its newest one does."
	return cmd
}

// promptFlags are of what asks for something.
type promptFlags struct {
	executor, model string
	files           []string
}

func (f *promptFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.executor, "executor", "", "who does it (default: the first that is configured)")
	cmd.Flags().StringVar(&f.model, "model", "", "the model that does it")
	cmd.Flags().StringArrayVar(&f.files, "file", nil, "a file that it is given; may be repeated")
}

// prompt uploads the files and says what is asked.
func (f *promptFlags) prompt(ctx context.Context, t *terminal, c *client.Client, text string) (wire.WritePrompt, error) {
	text, err := t.message(text)
	w := wire.WritePrompt{Prompt: text, Executor: f.executor, Model: f.model}
	for _, name := range f.files {
		if err != nil {
			break
		}
		var sent wire.PromptFile
		if sent, err = upload(ctx, c, name); err == nil {
			w.Files = append(w.Files, sent)
		}
	}
	return w, err
}

func upload(ctx context.Context, c *client.Client, name string) (wire.PromptFile, error) {
	file, err := os.Open(name)
	if err != nil {
		return wire.PromptFile{}, fmt.Errorf("open a file: %w", err)
	}
	defer file.Close()
	sent, err := c.Tasks().Upload(ctx, filepath.Base(name), file)
	if err != nil {
		return sent, fmt.Errorf("send %s: %w", name, err)
	}
	return sent, nil
}

func newCreateTask(t *terminal) *cobra.Command {
	var f promptFlags
	var w wire.CreateTask
	cmd := &cobra.Command{
		Use: "create PROMPT", Short: "Give work to a computer, or to one that is made for it", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if w.WritePrompt, err = f.prompt(cmd.Context(), t, c, args[0]); err != nil {
				return err
			}
			made, err := c.Tasks().Create(cmd.Context(), w)
			if err != nil {
				return err
			}
			return t.did(made, "task %s on computer %s; bothy tasks watch %s shows what it does", made.ID, made.WorkspaceID, made.ID)
		},
	}
	f.add(cmd)
	cmd.Flags().StringVar(&w.WorkspaceID, "computer", "", "id of the computer (default: one is made)")
	cmd.Flags().StringVar(&w.GithubURL, "github", "", "owner/repository that is cloned first")
	cmd.Flags().StringVar(&w.BranchName, "branch", "", "branch of it (default main)")
	return cmd
}

func newPrompt(t *terminal) *cobra.Command {
	var f promptFlags
	cmd := &cobra.Command{
		Use: "prompt ID PROMPT", Short: "Ask more of a task; while it is busy that waits", Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			w, err := f.prompt(cmd.Context(), t, c, args[1])
			if err != nil {
				return err
			}
			made, err := c.Tasks().Prompt(cmd.Context(), args[0], w)
			if err != nil {
				return err
			}
			return t.did(made, "prompt %s", made.PromptID)
		},
	}
	f.add(cmd)
	return cmd
}

func newWatchTask(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "watch ID", Short: "Show what the newest prompt of a task does, until it ends", Args: cobra.ExactArgs(1),
		Long: `Show what the newest prompt of a task does, until it ends. The exit code is 0 when
it succeeded. With -o json each event is one line.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			done, err := c.Tasks().Watch(cmd.Context(), args[0], t.taskEvent)
			if err != nil {
				return err
			}
			if done.Status != "succeeded" {
				return &exitError{exitFailed, fmt.Errorf("the prompt has %s", done.Status)}
			}
			return nil
		},
	}
}

// taskEvent shows one event: as a line of JSON for programs, in words for people.
func (t *terminal) taskEvent(e wire.TaskEvent) error {
	if t.json() {
		return json.NewEncoder(t.out).Encode(e)
	}
	p := e.Payload
	text := ""
	switch e.EventType {
	case "text":
		text = p.Text
	case "notice", "error":
		text = "! " + p.Message
	case "tool_use":
		text = "$ " + p.Name + " " + string(p.Input)
	case "tool_result":
		text = or(p.Output)
	case "file_change":
		text = p.Change + " " + p.Path
	default:
		return nil
	}
	_, err := fmt.Fprintln(t.out, clean(text))
	return err
}

func newCancelTask(t *terminal) *cobra.Command {
	return &cobra.Command{
		Use: "cancel ID", Short: "End what a task works on and what waits", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			if err := c.Tasks().Cancel(cmd.Context(), args[0]); err != nil {
				return err
			}
			return t.did(map[string]string{"cancelled": args[0]}, "cancelled task %s", args[0])
		},
	}
}

func newShareTask(t *terminal) *cobra.Command {
	var to string
	cmd := &cobra.Command{
		Use: "share ID", Short: "Say who may read a task", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := t.client()
			if err != nil {
				return err
			}
			shown, err := c.Tasks().Show(cmd.Context(), args[0], to)
			if err != nil {
				return err
			}
			return t.did(shown, "%s", strings.TrimSpace(shown.Visibility+" "+shown.ShareURL))
		},
	}
	cmd.Flags().StringVar(&to, "to", "public", "public (everybody who has the link), shared (the account) or private (you)")
	return cmd
}
