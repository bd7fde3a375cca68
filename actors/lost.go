package actors

import (
	"fmt"
	"time"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime"
)

// What is told to a user and a model whose computer's newest disk stayed behind.
const (
	emptyText    = "The computer was started anew on another node because its own was lost: files and installed software from before are not there."
	olderText    = "The computer was started on another node, from an older copy of its disk that was there, because its own node was lost: what changed since then is not there."
	restoredText = "The computer was started on another node from its last save off the node, of %s (%s ago), because its newest disk was lost or is away: files and installed software are as they were then."
	baredText    = "The computer was started on another node from its last save off the node, of %s (%s ago), because its newest disk was lost or is away. The image that it was made of cannot be had there: the files of its workspace are as they were then, and what was installed outside of it is not there."
	unimagedText = "The computer was started on another node, which cannot have the image that it was made of: the files of its workspace are all there, and what was installed outside of it is not."
)

// unstarted reports whether a disk was made from its computer's save and the
// computer has not run since.
func unstarted(s runtime.Status) bool {
	of := s.Spec.Restored()
	return s.Phase == runtime.Created && of.Name != "" && of.Computer == s.ID
}

// lostBy says what is missing on a computer that is started here; before is how
// it was found.
func lostBy(c state.Computer, self state.NodeID, before runtime.Status, now time.Time) string {
	switch {
	case unstarted(before):
		return lostSince(c, before.Bared, now)
	case c.DataNode == "", c.DataNode == self && (!before.Fresh || c.StartedAt.IsZero()): // a disk may be laid long before
		return ""
	case before.Fresh:
		return emptyText
	}
	return olderText
}

// lostSince says what a computer that was restored has lost since its save.
func lostSince(c state.Computer, bared bool, now time.Time) string {
	made, clean := c.Saved.MadeAt, false
	if c.Restored.Epoch == c.Epoch || c.Saved.Name == "" {
		made, clean = c.Restored.MadeAt, c.Restored.Clean
	}
	switch {
	case clean && bared:
		return unimagedText
	case clean:
		return ""
	case bared:
		return lostText(baredText, made, now)
	}
	return lostText(restoredText, made, now)
}

func lostText(text string, made, now time.Time) string {
	return fmt.Sprintf(text, made.UTC().Format(time.RFC3339), max(0, now.Sub(made)).Round(time.Second))
}
