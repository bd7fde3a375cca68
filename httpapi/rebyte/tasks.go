package rebyte

import (
	"context"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Tasks gives work to computers.
type Tasks interface {
	Start(context.Context, actors.Caller, actors.NewTask) (actors.Started, error)
	Prompt(context.Context, actors.Caller, state.ThreadID, actors.NewRun) (actors.Started, error)
	Show(context.Context, actors.Caller, state.ThreadID, state.TaskVisibility) (state.Thread, error)
	Cancel(context.Context, actors.Caller, state.ThreadID) error
	Delete(context.Context, actors.Caller, state.ThreadID) error
	Follow(ctx context.Context, task state.ThreadID, after uint64) door.Follower
}

func (a *API) taskRoutes() []door.Route {
	reading, writing := []string{"tasks:read"}, []string{"tasks:write"}
	return []door.Route{
		{Method: "POST", Path: "/tasks", Scopes: writing, Serve: a.Handle(a.createTask)},
		{Method: "GET", Path: "/tasks", Scopes: reading, Serve: a.Handle(a.listTasks)},
		{Method: "GET", Path: "/tasks/:id", Scopes: reading, Serve: a.Handle(a.getTask)},
		{Method: "DELETE", Path: "/tasks/:id", Scopes: writing, Serve: a.Handle(a.deleteTask)},
		{Method: "GET", Path: "/tasks/:id/content", Scopes: reading, Serve: a.Handle(a.taskContent)},
		{Method: "GET", Path: "/tasks/:id/events", Scopes: reading, Long: true, Serve: a.Handle(a.followTask)},
		{Method: "POST", Path: "/tasks/:id/prompts", Scopes: writing, Serve: a.Handle(a.createPrompt)},
		{Method: "POST", Path: "/tasks/:id/cancel", Scopes: writing, Serve: a.Handle(a.cancelTask)},
		{Method: "PATCH", Path: "/tasks/:id/visibility", Scopes: writing, Serve: a.Handle(a.showTask)},
	}
}

const (
	maxPromptRunes = 100_000
	maxTitleRunes  = 80
	// maxPrompts is how many prompts of a task a reply shows, the newest.
	maxPrompts = 1000
)

// run checks the fields and makes a run of them.
func runOf(q wire.WritePrompt) (actors.NewRun, error) {
	switch n := utf8.RuneCountInString(q.Prompt); {
	case strings.TrimSpace(q.Prompt) == "":
		return actors.NewRun{}, invalid("prompt", "prompt is required")
	case n > maxPromptRunes:
		return actors.NewRun{}, invalid("prompt", "prompt is %d characters; the limit is %d", n, maxPromptRunes)
	}
	return actors.NewRun{Content: q.Prompt, Model: q.Model, Skills: q.Skills, SkillsField: "skills", Executor: q.Executor}, nil
}

// Names of a repository and of a branch, which become words of a command.
var (
	repositoryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]{0,38}/[A-Za-z0-9._-]{1,100}$`)
	branchName     = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._/-]{0,199}$`)
)

// clone is the command by which a repository comes into the workspace.
func clone(repository, branch string) ([]string, error) {
	if repository == "" {
		if branch != "" {
			return nil, invalid("branchName", "branchName needs a githubUrl")
		}
		return nil, nil
	}
	if branch == "" {
		branch = "main"
	}
	if !repositoryName.MatchString(repository) {
		return nil, invalid("githubUrl", "githubUrl must be owner/repository")
	}
	if !branchName.MatchString(branch) || strings.Contains(branch, "..") {
		return nil, invalid("branchName", "branchName %.40q is no name of a branch", branch)
	}
	_, dir, _ := strings.Cut(repository, "/")
	if dir == "." || dir == ".." {
		return nil, invalid("githubUrl", "githubUrl must be owner/repository")
	}
	return []string{"[ -e './" + dir + "' ] || git clone --branch '" + branch + "' 'https://github.com/" + repository + ".git' './" + dir + "'"}, nil
}

// title is a task's name: its prompt's first line.
func title(prompt string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(prompt), "\n")
	if runes := []rune(line); len(runes) > maxTitleRunes {
		return strings.TrimSpace(string(runes[:maxTitleRunes-1])) + "…"
	}
	return strings.TrimSpace(line)
}

// createTask serves POST /tasks.
func (a *API) createTask(c *gin.Context) error {
	var req wire.CreateTask
	if err := a.Read(c, &req); err != nil {
		return err
	}
	run, err := runOf(req.WritePrompt)
	if err != nil {
		return err
	}
	if run.SetupScripts, err = clone(req.GithubURL, req.BranchName); err != nil {
		return err
	}
	if run.Files, err = a.stage(c, req.Files); err != nil {
		return err
	}
	if req.WorkspaceID != "" && !door.LooksLikeID(req.WorkspaceID) {
		return invalid("workspaceId", "workspaceId must be the id of an agent computer")
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	s, err := a.Tasks.Start(c.Request.Context(), caller, actors.NewTask{Title: title(req.Prompt), Computer: state.ComputerID(req.WorkspaceID), Prompt: run})
	if err != nil {
		return err
	}
	a.OwnerNow(c, s.Thread.Computer)
	c.JSON(http.StatusCreated, wire.CreatedTask{ID: string(s.Thread.ID), WorkspaceID: string(s.Thread.Computer), URL: a.links.Task(c.Request, s.Thread),
		Status: taskStatus(s.Thread), CreatedAt: wire.At(s.Thread.CreatedAt)})
	return nil
}

// recentTask is a task as its computer shows it.
type recentTask struct {
	ID          string     `json:"id"`
	Title       string     `json:"title"`
	Executor    string     `json:"executor"`
	Model       string     `json:"model"`
	Status      string     `json:"status"`
	CreatedAt   wire.Time  `json:"createdAt"`
	CompletedAt *wire.Time `json:"completedAt"`
}

// taskStatus is what a task does, or how its last prompt ended.
func taskStatus(t state.Thread) string {
	switch t.Status {
	case state.ThreadFailed:
		return "failed"
	case state.ThreadCancelled:
		return "canceled"
	case state.ThreadCompleted:
		return "completed"
	}
	return "running"
}

// completedAt is when a task's last prompt ended, while it has no other.
func completedAt(v *state.View, t state.Thread) (*wire.Time, error) {
	if t.Run != "" || t.LastRun == "" {
		return nil, nil
	}
	r, ok, err := v.AnyRun(t.LastRun)
	if err != nil || !ok {
		return nil, err
	}
	at := wire.At(r.EndedAt)
	return &at, nil
}

func (a *API) taskOf(c *gin.Context, v *state.View, t state.Thread) (wire.Task, error) {
	ended, err := completedAt(v, t)
	return wire.Task{ID: string(t.ID), URL: a.links.Task(c.Request, t), WorkspaceID: string(t.Computer), Title: t.Title, Status: taskStatus(t),
		Executor: t.Task.Executor, Model: t.Task.Model, CreatedAt: wire.At(t.CreatedAt), CompletedAt: ended}, err
}

// listTasks serves GET /tasks, newest first.
func (a *API) listTasks(c *gin.Context) error {
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	reply := wire.PageOf[wire.Task]{Data: []wire.Task{}, Limit: page.Limit, Offset: page.Offset}
	err = a.LookAll(c, func(v *state.View) error {
		by := door.CallerOf(c)
		list, err := v.Tasks(by.Account, by.User, "", page)
		reply.Total = list.Total
		for _, t := range list.Items {
			listed, err := a.taskOf(c, v, t)
			if err != nil {
				return err
			}
			reply.Data = append(reply.Data, listed)
		}
		return err
	})
	if err == nil {
		c.JSON(http.StatusOK, reply)
	}
	return err
}

// task looks the task in the path up and shows it to read.
func (a *API) task(c *gin.Context, read func(*state.View, state.Thread) error) error {
	id, err := door.ID(c, "id", "Task")
	if err != nil {
		return err
	}
	by := door.CallerOf(c)
	return a.Look(c, func(v *state.View) error {
		t, err := v.Task(by.Account, by.User, state.ThreadID(id))
		if err != nil {
			return err
		}
		if err := a.Owner(c, v, t.Computer); err != nil {
			return err
		}
		return read(v, t)
	})
}

// prompts are a task's newest, oldest first.
func prompts(v *state.View, t state.Thread) ([]state.Run, error) {
	list, err := v.ThreadRuns(t.Account, t.ID, state.Page{Limit: maxPrompts})
	slices.Reverse(list.Items)
	return list.Items, err
}

// promptStatus is a run's status in this dialect's words.
func promptStatus(s state.RunStatus) string {
	switch s {
	case state.RunQueued, state.RunPending:
		return "pending"
	case state.RunSuccess:
		return "succeeded"
	case state.RunCancelled:
		return "canceled"
	}
	return string(s) // running, failed
}

func promptOf(r state.Run) wire.Prompt {
	p := wire.Prompt{ID: string(r.ID), Status: promptStatus(r.Status), SubmittedAt: wire.At(r.CreatedAt)}
	if !r.EndedAt.IsZero() {
		at := wire.At(r.EndedAt)
		p.CompletedAt = &at
	}
	return p
}

// getTask serves GET /tasks/:id.
func (a *API) getTask(c *gin.Context) error {
	var reply wire.TaskInFull
	err := a.task(c, func(v *state.View, t state.Thread) (err error) {
		if reply.Task, err = a.taskOf(c, v, t); err != nil {
			return err
		}
		reply.Visibility, reply.Prompts = string(t.Task.Visibility), []wire.Prompt{}
		all, err := prompts(v, t)
		for _, r := range all {
			reply.Prompts = append(reply.Prompts, promptOf(r))
		}
		if err != nil || t.Run != "" {
			return err
		}
		reply.FinalResult, err = answerOf(v, t, t.LastRun)
		return err
	})
	if err == nil {
		c.JSON(http.StatusOK, reply)
	}
	return err
}

// createPrompt serves POST /tasks/:id/prompts.
func (a *API) createPrompt(c *gin.Context) error {
	id, err := door.ID(c, "id", "Task")
	if err != nil {
		return err
	}
	var req wire.WritePrompt
	if err := a.Read(c, &req); err != nil {
		return err
	}
	run, err := runOf(req)
	if err != nil {
		return err
	}
	if run.Files, err = a.stage(c, req.Files); err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	s, err := a.Tasks.Prompt(c.Request.Context(), caller, state.ThreadID(id), run)
	if err == nil {
		a.OwnerNow(c, s.Thread.Computer)
		c.JSON(http.StatusCreated, wire.CreatedPrompt{PromptID: string(s.Run.ID)})
	}
	return err
}

// cancelTask serves POST /tasks/:id/cancel. A task that does nothing is
// cancelled already.
func (a *API) cancelTask(c *gin.Context) error {
	id, err := door.ID(c, "id", "Task")
	if err != nil {
		return err
	}
	if err := a.Tasks.Cancel(c.Request.Context(), door.CallerOf(c), state.ThreadID(id)); err != nil {
		return err
	}
	c.JSON(http.StatusOK, gin.H{"success": true})
	return nil
}

// deleteTask serves DELETE /tasks/:id.
func (a *API) deleteTask(c *gin.Context) error {
	id, err := door.ID(c, "id", "Task")
	if err != nil {
		return err
	}
	if err := a.Tasks.Delete(c.Request.Context(), door.CallerOf(c), state.ThreadID(id)); err != nil {
		return err
	}
	c.Status(http.StatusNoContent)
	return nil
}

// showTask serves PATCH /tasks/:id/visibility.
func (a *API) showTask(c *gin.Context) error {
	id, err := door.ID(c, "id", "Task")
	if err != nil {
		return err
	}
	var req wire.TaskVisibility
	if err := a.Read(c, &req); err != nil {
		return err
	}
	to := state.TaskVisibility(req.Visibility)
	if !slices.Contains(state.TaskVisibilities(), to) {
		return invalid("visibility", "visibility must be private, shared or public")
	}
	t, err := a.Tasks.Show(c.Request.Context(), door.CallerOf(c), state.ThreadID(id), to)
	if err != nil {
		return err
	}
	reply := wire.TaskVisibility{Visibility: req.Visibility}
	if to == state.TaskPublic {
		reply.ShareURL = a.links.Task(c.Request, t)
	}
	c.JSON(http.StatusOK, reply)
	return nil
}
