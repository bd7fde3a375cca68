package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/bothy-computer/bothy/actors/agent"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// maxSurveyed is how many files a workspace may have for its changes to be
	// told: looking at them all is done after each tool.
	maxSurveyed = 20_000
	// maxToolChanges bounds the file changes told of one tool.
	maxToolChanges = 64
	// maxToolDiffBytes bounds their diffs together, and maxChangeDiffBytes each.
	maxToolDiffBytes   = 128 << 10
	maxChangeDiffBytes = 16 << 10
	// maxFileDiffBytes bounds the diff of one file in what a run changed.
	maxFileDiffBytes = 32 << 10
	// maxRemembered bounds the texts that a run's work remembers to compare.
	maxRemembered = 4 << 20
	// maxSameBytes bounds files whose bytes are compared.
	maxSameBytes = 16 << 20
	// diffPatience bounds the work on diffs at a run's beginning and end.
	diffPatience = 20 * time.Second
)

// differ tells what a run changes in its computer's workspace: after each tool,
// and at its end over all of it. A snapshot, taken before the first tool, holds
// what was there before; surveys find what is different. What it cannot tell it
// says in a note: a run never fails for it.
type differ struct {
	work   *work
	live   *workspace.FS
	source runtime.Source
	before *workspace.FS // nil without a snapshot
	first  *workspace.Survey
	last   *workspace.Survey // after the newest tool
	note   string

	texts map[string][]byte // of files the run changed, as the newest tool left them; nil: not remembered
	size  int
}

// newDiffer keeps the workspace as it is before the run's first tool. A run
// that is taken up again on its node finds what it kept then.
func newDiffer(ctx context.Context, w *work, live *workspace.FS) *differ {
	ctx, cancel := context.WithTimeout(ctx, diffPatience)
	defer cancel()
	d := &differ{work: w, live: live, source: runtime.Source{Computer: runtime.ID(w.computer.ID), Name: string(w.run.ID)},
		texts: map[string][]byte{}}
	if err := d.keep(ctx); err != nil {
		d.note = "The workspace could not be kept as it was when the run began, so changes of files are told without diffs."
		if errors.Is(err, runtime.ErrUnsupported) {
			d.note = "This node keeps no snapshots, since its volumes are not on btrfs, so changes of files are told without diffs."
		}
		w.log.Info("no snapshot for a run's diff", "err", err)
	}
	var err error
	if d.last, err = live.Survey(ctx, maxSurveyed); err == nil && d.before != nil {
		d.first, err = d.before.Survey(ctx, maxSurveyed)
	} else {
		d.first = d.last
	}
	if err != nil || d.first.Truncated || d.last.Truncated {
		d.note = fmt.Sprintf("The workspace has more than %d files, so what changed in it is not told.", maxSurveyed)
		if err != nil {
			d.note = "The workspace could not be looked at, so what changed in it is not told."
			w.log.Warn("survey a workspace", "err", err)
		}
		d.first, d.last = nil, nil
	}
	return d
}

// keep takes the snapshot, or finds it.
func (d *differ) keep(ctx context.Context) error {
	keeper, ok := d.work.driver.(runtime.Snapshotter)
	if !ok {
		return runtime.ErrUnsupported
	}
	begun := d.work.now()
	made, err := keeper.Snapshot(ctx, runtime.Epoch(d.work.computer.Epoch), d.source.Computer, d.source.Name)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(d.work.past, usedTool) && !made.MadeAt.Before(begun) {
		d.note = "The run went on on another node; what it changed before that is only told in its steps."
	}
	root, err := keeper.SnapshotWorkspace(ctx, d.source)
	if err == nil {
		d.before, err = workspace.Open(root)
	}
	return err
}

func usedTool(e state.Event) bool {
	return e.Kind == state.EventItemCompleted && e.Type == state.ItemToolResult
}

// looksOnly are the tools that change nothing.
var looksOnly = []string{agent.ReadFileTool, agent.ListFilesTool, agent.GrepTool}

// after tells what a tool changed, as the events of its item; ok is false when
// that is not known here.
func (d *differ) after(ctx context.Context, tool, item string) (events []state.Event, ok bool) {
	if d.last == nil {
		return nil, false
	}
	if slices.Contains(looksOnly, tool) {
		return nil, true
	}
	now, err := d.live.Survey(ctx, maxSurveyed)
	if err != nil || now.Truncated {
		d.last = nil // what comes next could not be told apart from this
		return nil, false
	}
	changes := now.Since(d.last)
	d.last = now
	left := maxToolDiffBytes
	for i, c := range changes {
		if i == maxToolChanges {
			events = append(events, notice("%d more files changed.", len(changes)-i))
			break
		}
		text, changed := d.step(c)
		if !changed {
			continue
		}
		if len(text) > min(left, maxChangeDiffBytes) {
			text = ""
		}
		left -= len(text)
		events = append(events, state.Event{Kind: state.EventItemCompleted, Item: fmt.Sprintf("%s_f%d", item, len(events)),
			Type: state.ItemFileChange, Status: state.ItemComplete, Path: c.Path, Change: string(c.Kind), Text: text})
	}
	return events, true
}

// step compares a file with what it was before the tool. The diff is "" where
// that is not known, or cannot be compared; changed is false for a file that
// was written again as it was.
func (d *differ) step(c workspace.Change) (unified string, changed bool) {
	was, known := d.was(c)
	is, err := d.live.Text(c.Path)
	d.remember(c.Path, is, err)
	if !known || err != nil || is.Opaque != "" {
		return "", true
	}
	lines := workspace.Compare(c, was, is.Content)
	return lines.Unified, lines.Unified != "" || c.Kind != workspace.Modified
}

// was is a file's text before the newest tool.
func (d *differ) was(c workspace.Change) (text []byte, known bool) {
	if c.Kind == workspace.Created {
		return nil, true
	}
	if text, touched := d.texts[c.Path]; touched {
		return text, text != nil
	}
	if d.before == nil {
		return nil, false
	}
	was, err := d.before.Text(c.Path)
	return was.Content, err == nil && was.Opaque == ""
}

func (d *differ) remember(name string, t workspace.Text, err error) {
	d.size -= len(d.texts[name])
	d.texts[name] = nil
	if err == nil && t.Opaque == "" && d.size+len(t.Content) <= maxRemembered {
		d.texts[name] = append([]byte{}, t.Content...)
		d.size += len(t.Content)
	}
}

// whole tells what changed from the snapshot to now.
func (d *differ) whole(ctx context.Context) (state.Diff, error) {
	all := state.Diff{Run: d.work.run.ID, Note: d.note}
	if d.first == nil {
		return all, nil
	}
	now, err := d.live.Survey(ctx, maxSurveyed)
	if err != nil {
		return all, err
	}
	if now.Truncated {
		all.Note = fmt.Sprintf("The workspace has come to have more than %d files, so what changed in it is not told.", maxSurveyed)
		return all, nil
	}
	left := state.MaxDiffBytes
	for _, c := range now.Since(d.first) {
		if err := ctx.Err(); err != nil {
			return all, err
		}
		f, changed := d.file(c)
		switch {
		case !changed:
			continue
		case len(all.Files) == state.MaxDiffFiles:
			all.More++
			continue
		case len(f.Unified) > min(left, maxFileDiffBytes):
			f.Unified, f.Omitted = "", "large"
		}
		left -= len(f.Unified)
		all.Files = append(all.Files, f)
	}
	return all, nil
}

// file compares a file with the snapshot.
func (d *differ) file(c workspace.Change) (f state.FileDiff, changed bool) {
	f = state.FileDiff{Path: c.Path, Change: string(c.Kind)}
	var was workspace.Text
	var err error
	switch {
	case d.before != nil:
		was, err = d.before.Text(c.Path)
	case c.Kind != workspace.Created:
		was.Opaque = "unknown"
	}
	is, isErr := d.live.Text(c.Path)
	if err := errors.Join(err, isErr); err != nil {
		d.work.log.Info("compare a file", "err", err)
		f.Omitted = "unknown"
		return f, true
	}
	if f.Omitted = was.Opaque; f.Omitted == "" {
		f.Omitted = is.Opaque
	}
	if f.Omitted != "" {
		same := c.Kind == workspace.Modified && d.before != nil && d.live.Same(d.before, c.Path, maxSameBytes)
		return f, !same
	}
	lines := workspace.Compare(c, was.Content, is.Content)
	f.Unified, f.Additions, f.Deletions = lines.Unified, lines.Additions, lines.Deletions
	return f, c.Kind != workspace.Modified || lines.Unified != ""
}

// record commits what the run changed, and lets the snapshot go. The run ends
// whatever comes of it.
func (d *differ) record(parent context.Context) {
	ctx, cancel := context.WithTimeout(parent, diffPatience)
	defer cancel()
	all, err := d.whole(ctx)
	if err == nil && (len(all.Files) > 0 || all.Note != "") {
		if d.shared() {
			all.Note = joined(all.Note, "Other runs used the computer at the same time: what they changed is told here too.")
		}
		_, err = d.work.cluster.Apply(ctx, state.RecordDiff{Epoch: d.work.computer.Epoch, Diff: all})
	}
	if err != nil {
		d.work.log.Warn("record what a run changed", "err", err)
	}
	d.close()
	if keeper, ok := d.work.driver.(runtime.Snapshotter); ok {
		if err := keeper.DropSnapshot(ctx, d.source); err != nil {
			d.work.log.Warn("drop a run's snapshot", "err", err) // swept later
		}
	}
}

func joined(note, more string) string {
	if note == "" {
		return more
	}
	return note + " " + more
}

// shared reports whether other runs use the computer too.
func (d *differ) shared() bool {
	n, err := applied(d.work.cluster, func(v *state.View) (n int, err error) {
		err = v.LiveRuns(d.work.computer.ID, func(state.Run) bool { n++; return n < 2 })
		return n, err
	})
	return err == nil && n > 1
}

// close lets the snapshot's files go.
func (d *differ) close() {
	if d.before != nil {
		d.before.Close()
		d.before = nil
	}
}
