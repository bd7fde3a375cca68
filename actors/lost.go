package actors

import "github.com/bothy-computer/bothy/cluster/state"

// What is told to a user and a model whose computer's newest disk stayed behind.
const (
	emptyText = "The computer was started anew on another node because its own was lost: files and installed software from before are not there."
	olderText = "The computer was started on another node, from an older copy of its disk that was there, because its own node was lost: what changed since then is not there."
)

// lostBy says what is missing on a computer that was just started here.
func lostBy(c state.Computer, self state.NodeID, fresh bool) string {
	switch {
	case c.DataNode == "", c.DataNode == self && (!fresh || c.StartedAt.IsZero()): // a disk may be laid long before
		return ""
	case fresh:
		return emptyText
	}
	return olderText
}
