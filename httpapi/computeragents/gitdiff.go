package computeragents

import (
	"strconv"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// gitDiff serves GET /git/:id/diff: what is not committed yet.
func (a *API) gitDiff(c *gin.Context) error {
	r, err := a.repository(c)
	if err != nil {
		return err
	}
	diff, err := r.diffOf("diff", "HEAD")
	if err != nil {
		return err
	}
	a.ok(c, diff)
	return nil
}

// gitCommitDiff serves GET /git/:id/commits/:sha/diff.
func (a *API) gitCommitDiff(c *gin.Context) error {
	r, err := a.repository(c)
	if err != nil {
		return err
	}
	sha, err := door.ID(c, "sha", "Commit")
	if err != nil || strings.HasPrefix(sha, "-") {
		return fault.New(fault.NotFound, "Commit not found: %s", c.Param("sha"))
	}
	diff, err := r.diffOf("show", "--format=", sha)
	if err != nil {
		return err
	}
	a.ok(c, diff)
	return nil
}

// diffOf reads a diff twice: its numbers, and its patches in the same order.
func (r *repository) diffOf(verb string, args ...string) (diff wire.GitDiff, err error) {
	diff.Diffs = []wire.GitFileDiff{}
	common := append([]string{verb, "--no-renames", "--no-ext-diff", "--no-textconv"}, args...)
	numbers, err := r.git(append(common, "--numstat", "-z")...)
	if err != nil {
		return diff, err
	}
	patch, err := r.git(append(common, "--patch")...)
	if err != nil {
		return diff, err
	}
	patches := strings.Split("\n"+patch, "\ndiff --git ")[1:]
	for record := range strings.SplitSeq(strings.Trim(numbers, "\n"), "\x00") {
		f := strings.SplitN(record, "\t", 3)
		if len(f) < 3 {
			continue
		}
		one := wire.GitFileDiff{Path: f[2]}
		one.Additions, _ = strconv.Atoi(f[0]) // a hyphen, of binary files, is none
		one.Deletions, _ = strconv.Atoi(f[1])
		if n := len(diff.Diffs); n < len(patches) {
			one.Changes = "diff --git " + strings.TrimRight(patches[n], "\n") + "\n"
		}
		diff.Diffs = append(diff.Diffs, one)
		diff.Stats.Insertions += one.Additions
		diff.Stats.Deletions += one.Deletions
	}
	diff.Stats.FilesChanged = len(diff.Diffs)
	return diff, nil
}
