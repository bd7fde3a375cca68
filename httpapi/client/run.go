package client

import (
	"context"
	"errors"
	"net/http"

	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Message asks for a run. Without a Thread one is made, in Environment (the
// default one when empty) and with Agent.
type Message struct {
	Thread      string
	Environment string
	Agent       string
	Title       string
	Content     string
	Model       string // overrides the agent's
	// More sets what is rarely set: tool servers, variables, setup scripts.
	More wire.PostMessage
}

// Result is how a run ended. A run that failed is a Result, not an error:
// Run.Status says so and Run.Error why.
type Result struct {
	Thread   string
	Run      wire.Run
	Response wire.Response
	Content  string // the answer
}

// Run sends a message and hands over what the run does until it has ended.
// When a node dies meanwhile it goes on at another: the message is sent once
// and each event is seen once. each may be nil; returning ErrStop leaves the run
// to go on by itself.
func (c *Client) Run(ctx context.Context, m Message, each func(Event) error) (Result, error) {
	w := &watch{each: each, result: Result{Thread: m.Thread}}
	r := &reader{each: w.see}
	key := idempotencyKey()
	for tries := 0; ; tries++ {
		resp, err := c.send(ctx, m.request(), key)
		if err != nil {
			return w.result, err
		}
		err = consume(ctx, resp, r)
		if errors.Is(err, errCut) && w.result.Thread != "" && r.begun {
			c.at.Add(1)
			err = c.follow(ctx, c.threadEvents(w.result.Thread), r)
		}
		if !errors.Is(err, errCut) || tries >= reconnects {
			return w.result, ended(err)
		}
		// Cut before it told where to resume: the same key finds the same run.
		c.at.Add(1)
		if err := pause(ctx, nil, min(tries+1, 5)); err != nil {
			return w.result, err
		}
	}
}

func (m Message) request() request {
	message := m.More
	message.Content = m.Content
	if m.Model != "" {
		config := wire.AgentConfig{}
		if message.AgentConfig != nil {
			config = *message.AgentConfig
		}
		config.Model = m.Model
		message.AgentConfig = &config
	}
	r := request{method: http.MethodPost, path: path("threads"), accept: "text/event-stream",
		body: wire.CreateThread{PostMessage: message, EnvironmentID: m.Environment, AgentID: m.Agent, Title: m.Title}}
	if m.Thread != "" {
		r.path, r.body = path("threads", m.Thread, "messages"), message
	}
	return r
}

// watch notes what a run's events say of it and passes them on.
type watch struct {
	each   func(Event) error
	run    string // known from its first event on
	result Result
}

func (w *watch) see(e Event) error {
	switch {
	case e.Thread != nil:
		w.result.Thread = e.Thread.ID
	case w.run == "":
		w.run = e.RunID
	case e.RunID != w.run:
		return nil // of another run, seen while following
	}
	if e.Response != nil {
		w.result.Response = *e.Response
		if e.Response.Content != nil {
			w.result.Content = *e.Response.Content
		}
	}
	if w.each != nil {
		if err := w.each(e); err != nil {
			return err
		}
	}
	if !e.Ends() {
		return nil
	}
	if e.Event.Run != nil {
		w.result.Run = *e.Event.Run
	}
	return ErrStop
}
