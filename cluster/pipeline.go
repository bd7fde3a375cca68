package cluster

import (
	"sync"

	"github.com/hashicorp/raft"
)

// maxHeldAnswers bounds the answers that wait for raft in one pipeline. Raft
// sends at most a few more after it stopped listening: it looks for the end
// before each one, and chooses by chance when both are due.
const maxHeldAnswers = 64

// raftLinks is raft's transport, with pipelines in which sending never waits
// for somebody who has left.
type raftLinks struct{ *raft.NetworkTransport }

// AppendEntriesPipeline implements raft.Transport.
func (l raftLinks) AppendEntriesPipeline(id raft.ServerID, target raft.ServerAddress) (raft.AppendPipeline, error) {
	p, err := l.NetworkTransport.AppendEntriesPipeline(id, target)
	if err != nil {
		return nil, err
	}
	return newPipeline(p), nil
}

// pipeline takes answers out of raft's own pipeline as they come. In raft
// v1.8.0 the goroutine that reads answers ends at the first refusal, such as
// one of a newer term; what came after it filled the pipeline, the sender then
// waited for room for ever, and Shutdown for the sender.
type pipeline struct {
	raft.AppendPipeline
	answers chan raft.AppendFuture
	closing chan struct{}
	drained chan struct{}
	once    sync.Once
}

func newPipeline(p raft.AppendPipeline) *pipeline {
	w := &pipeline{AppendPipeline: p, answers: make(chan raft.AppendFuture),
		closing: make(chan struct{}), drained: make(chan struct{})}
	go w.drain()
	return w
}

// Consumer implements raft.AppendPipeline.
func (p *pipeline) Consumer() <-chan raft.AppendFuture { return p.answers }

// Close implements raft.AppendPipeline.
func (p *pipeline) Close() error {
	err := p.AppendPipeline.Close()
	p.once.Do(func() { close(p.closing) })
	<-p.drained
	return err
}

func (p *pipeline) drain() {
	defer close(p.drained)
	var held []raft.AppendFuture
	for {
		in := p.AppendPipeline.Consumer()
		if len(held) == maxHeldAnswers {
			in = nil
		}
		var out chan raft.AppendFuture
		var first raft.AppendFuture
		if len(held) > 0 {
			out, first = p.answers, held[0]
		}
		select {
		case answer := <-in:
			held = append(held, answer)
		case out <- first:
			held = held[1:]
		case <-p.closing:
			return
		}
	}
}
