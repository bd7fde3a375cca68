package console

import (
	"html/template"
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// maxTaskMessages is how many messages a task's page shows, the newest.
const maxTaskMessages = 200

// transcript is a task as its page shows it.
type transcript struct {
	Title, Status string
	Messages      []state.Message
	Older         int // messages that are not shown
}

var telling = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<title>{{.Title}}</title><link rel="stylesheet" href="/c/assets/page.css">
<body class="notice"><main><h1>{{.Title}}</h1><p>{{.Status}}</p>{{with .Older}}<p>{{.}} earlier messages are not shown.</p>{{end}}
{{range .Messages}}<section><h2>{{.Role}}</h2><pre>{{.Content}}</pre></section>
{{end}}</main></body></html>
`))

// task serves the page of a task: to everybody when it is public, else to those
// who have a browser session of its computer.
func (k *Console) task(c *gin.Context) {
	page, err := k.tell(c)
	switch {
	case fault.Is(err, fault.NotFound), fault.Is(err, fault.Unauthorized):
		// Whoever visits learns nothing of what is there.
		notice(c, http.StatusNotFound, said{Title: "Nothing to see here", Text: "There is no such task, or it is not public. " +
			"Whoever holds a key of its account makes it public, or opens a session of its computer in this browser:",
			Hint: "curl -X PATCH " + k.links.Base(c.Request) + "/v1/tasks/<id>/visibility \\\n" +
				"  -H 'API_KEY: <key>' -H 'Content-Type: application/json' -d '{\"visibility\": \"public\"}'"})
		return
	case err != nil:
		k.refusePage(c, err)
		return
	}
	guarded(c.Writer.Header())
	c.Header("Cache-Control", "no-store")
	c.Header("Content-Type", "text/html; charset=utf-8")
	c.Status(http.StatusOK)
	_ = telling.Execute(c.Writer, page) // a client that is gone cannot be told
}

func (k *Console) tell(c *gin.Context) (page transcript, err error) {
	t, err := k.shownTask(c)
	if err != nil {
		return page, err
	}
	err = k.Look(c, func(v *state.View) error {
		list, err := v.Messages(t.Account, t.ID, state.Page{Limit: maxTaskMessages}, true)
		slices.Reverse(list.Items)
		page = transcript{Title: t.Title, Status: string(t.Status), Messages: list.Items, Older: list.Total - len(list.Items)}
		return err
	})
	return page, err
}

// shownTask is the task in the path, if the visitor may see it. A private one is
// its maker's alone, and a session is nobody's; a session that was opened by a
// link is for what the link shares.
func (k *Console) shownTask(c *gin.Context) (t state.Thread, err error) {
	on, err := addressed(c)
	if err != nil {
		return t, err
	}
	id, err := door.ID(c, "task", "Task")
	if err != nil {
		return t, err
	}
	none := fault.New(fault.NotFound, "Task not found: %s", id)
	err = k.Look(c, func(v *state.View) error {
		found, ok, err := v.AnyThread(state.ThreadID(id))
		if err == nil && (!ok || found.Deleted || found.Task == nil || found.Computer != on) {
			err = none
		}
		t = found
		return err
	})
	switch {
	case err != nil || t.Task.Visibility == state.TaskPublic:
		return t, err
	case t.Task.Visibility == state.TaskPrivate:
		return t, none
	}
	v, err := k.admit(c, state.BrowserSession)
	if err == nil && v.Share != "" {
		err = none
	}
	return t, err
}
