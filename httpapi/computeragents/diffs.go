package computeragents

import (
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// maxDiffsBytes bounds the unified diffs of one reply; those beyond it are left
// out as too large, and can be had by naming their run.
const maxDiffsBytes = 4 << 20

// diffStatus is a change as newer clients name it.
var diffStatus = map[string]string{"created": "added", "modified": "modified", "deleted": "deleted"}

// threadDiffs serves GET /threads/:id/diffs: what the thread's runs changed in
// the workspace; with executionId, one of them. Older clients name a run where
// the thread stands.
func (a *API) threadDiffs(c *gin.Context) error {
	id, err := threadID(c)
	if err != nil {
		return err
	}
	page, err := door.Page(c)
	if err != nil {
		return err
	}
	run := state.RunID(c.Query("executionId"))
	if err := identifier("executionId", string(run)); err != nil {
		return err
	}
	list, err := get(a, c, func(v *state.View, account state.AccountID) (list state.List[state.Diff], err error) {
		if strings.HasPrefix(string(id), "run_") {
			run = state.RunID(id)
			r, err := v.Run(account, run)
			if err != nil {
				return list, err
			}
			id = r.Thread
		}
		if run == "" {
			return v.Diffs(account, id, page)
		}
		if _, err := v.Thread(account, id); err != nil {
			return list, err
		}
		one, ok, err := v.RunDiff(account, run)
		if ok && one.Thread == id {
			list = state.List[state.Diff]{Items: []state.Diff{one}, Total: 1}
		}
		return list, err
	})
	if err != nil {
		return err
	}
	a.ok(c, diffsOf(list, page))
	return nil
}

func diffsOf(list state.List[state.Diff], page state.Page) wire.ThreadDiffs {
	reply := wire.ThreadDiffs{Object: "list", Diffs: []wire.FileDiff{}, HasMore: list.HasMore(page), Runs: []wire.RunDiff{}}
	left := maxDiffsBytes
	for _, d := range list.Items {
		reply.Runs = append(reply.Runs, wire.RunDiff{RunID: string(d.Run), Files: len(d.Files), MoreFiles: d.More, Note: maybe(d.Note), CreatedAt: wire.At(d.CreatedAt)})
		for _, f := range d.Files {
			if len(f.Unified) > left {
				f.Unified, f.Omitted = "", "large"
			}
			left -= len(f.Unified)
			reply.Diffs = append(reply.Diffs, wire.FileDiff{Path: f.Path, Status: diffStatus[f.Change], Type: f.Change, Diff: f.Unified,
				Additions: f.Additions, Deletions: f.Deletions, Binary: f.Omitted == "binary", Omitted: maybe(f.Omitted),
				RunID: string(d.Run), ExecutionID: string(d.Run)})
		}
	}
	reply.Data, reply.TotalCount = reply.Diffs, len(reply.Diffs)
	return reply
}
