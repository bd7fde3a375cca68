package server

import (
	"errors"
	"fmt"
	"strconv"
	"sync"

	"connectrpc.com/connect"

	"github.com/bothy-computer/bothy/runtime/guest/watch"
)

const (
	// maxWatchers bounds watchers of both kinds; the kernel allows a user
	// about 128 inotify instances.
	maxWatchers = 64
	// maxPending bounds the events that wait to be asked for.
	maxPending = 10_000
)

// watchers are those that clients ask for events; streams only count.
type watchers struct {
	mu     sync.Mutex
	byID   map[string]*pending
	open   int
	nextID int
	closed bool
	wg     sync.WaitGroup
}

// pending is a watcher with the events that nobody has asked for yet.
type pending struct {
	watcher *watch.Watcher
	root    string
	shown   string
	entries bool

	mu     sync.Mutex
	events []watch.Event
	failed error // events were lost, or the watch ended in failure
}

func newWatchers() *watchers { return &watchers{byID: make(map[string]*pending)} }

// enter takes one of the places, until leave.
func (ws *watchers) enter() error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if ws.closed {
		return connect.NewError(connect.CodeUnavailable, errors.New("the computer is stopping"))
	}
	if ws.open >= maxWatchers {
		return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf("there are %d watchers already; remove some", maxWatchers))
	}
	ws.open++
	return nil
}

func (ws *watchers) leave() {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.open--
}

// keep begins to gather events and names the watcher.
func (ws *watchers) keep(p *pending) string {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.nextID++
	id := "watcher-" + strconv.Itoa(ws.nextID)
	ws.byID[id] = p
	ws.wg.Go(func() { p.note(p.watcher.Run(p.gather)) })
	return id
}

func (ws *watchers) find(id string) (*pending, error) {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	if p := ws.byID[id]; p != nil {
		return p, nil
	}
	return nil, connect.NewError(connect.CodeNotFound, fmt.Errorf("no watcher %q", id))
}

// drop ends a watcher and gives its place back.
func (ws *watchers) drop(id string) error {
	ws.mu.Lock()
	defer ws.mu.Unlock()
	p := ws.byID[id]
	if p == nil {
		return connect.NewError(connect.CodeNotFound, fmt.Errorf("no watcher %q", id))
	}
	delete(ws.byID, id)
	ws.open--
	return p.watcher.Close()
}

// close ends all watchers that gather.
func (ws *watchers) close() error {
	ws.mu.Lock()
	ws.closed = true
	var err error
	for id, p := range ws.byID {
		delete(ws.byID, id)
		err = errors.Join(err, p.watcher.Close())
	}
	ws.mu.Unlock()
	ws.wg.Wait()
	return err
}

func (p *pending) gather(ev watch.Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.events) >= maxPending {
		p.failed = watch.ErrLost
		return nil
	}
	p.events = append(p.events, ev)
	return nil
}

func (p *pending) note(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.failed = err
	}
}

// take returns what has gathered. A loss is told once.
func (p *pending) take() ([]watch.Event, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	events, err := p.events, p.failed
	p.events, p.failed = nil, nil
	return events, err
}
