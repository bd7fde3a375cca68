package transport

import (
	"strconv"
	"strings"
	"sync"

	"github.com/bothy-computer/bothy/cluster/state"
)

// maxAsks bounds the asks of one node that wait for answers.
const maxAsks = 16384

// askPrefix begins the sender's id of an ask; its number follows.
const askPrefix = "ask/"

// asks is the table of asks that wait for an answer.
type asks struct {
	mu   sync.Mutex
	last uint64
	open map[uint64]openAsk
}

type openAsk struct {
	node  state.NodeID
	reply chan reply // with room for the one reply
}

// reply is what an ask ends with.
type reply struct {
	env *Envelope
	err error
}

// begin opens an ask; nil when there are too many.
func (a *asks) begin(node state.NodeID) (uint64, <-chan reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.open) >= maxAsks {
		return 0, nil
	}
	a.last++
	ch := make(chan reply, 1)
	a.open[a.last] = openAsk{node: node, reply: ch}
	return a.last, ch
}

// end closes an ask that nobody waits for any more.
func (a *asks) end(id uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.open, id)
}

// settle gives an ask its one reply. It does nothing when the ask is not open
// or was put to another node.
func (a *asks) settle(id uint64, node state.NodeID, r reply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if ask, ok := a.open[id]; ok && ask.node == node {
		delete(a.open, id)
		ask.reply <- r
	}
}

// lose ends all asks put to a node whose connection broke.
func (a *asks) lose(node state.NodeID, n *Nack) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	lost := 0
	for id, ask := range a.open {
		if ask.node == node {
			delete(a.open, id)
			ask.reply <- reply{err: n}
			lost++
		}
	}
	return lost
}

func askID(id uint64) string { return askPrefix + strconv.FormatUint(id, 10) }

// parseAsk reads the number out of an ask's sender id.
func parseAsk(actorID string) (uint64, bool) {
	text, ok := strings.CutPrefix(actorID, askPrefix)
	if !ok {
		return 0, false
	}
	id, err := strconv.ParseUint(text, 10, 64)
	return id, err == nil
}
