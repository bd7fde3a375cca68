package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/guest"
)

const (
	// operationLook and operationTime bound the wait for an operation.
	operationLook = 5 * time.Millisecond
	operationTime = 3 * time.Minute
)

// agents calls the Agent Computer dialect of one node.
type agents struct {
	house *house.House
	node  *house.Node
}

// agentReply is what the dialect says of a computer and an operation.
type agentReply struct {
	Computer  struct{ ID, State string }
	Operation *struct {
		ID, Status string
		Error      string `json:"error_message"`
	}
	ExitCode int `json:"exit_code"`
}

func (a agents) call(ctx context.Context, method, path, body string) (reply agentReply, owner string, err error) {
	req, err := http.NewRequestWithContext(ctx, method, a.node.URL+"/v1"+path, bytes.NewReader([]byte(body)))
	if err != nil {
		return reply, "", err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := a.house.Do(req)
	if err != nil {
		return reply, "", err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return reply, "", err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return reply, "", fmt.Errorf("%s %s: %s: %.300s", method, path, res.Status, text)
	}
	return reply, res.Header.Get("X-Bothy-Owner"), json.Unmarshal(text, &reply)
}

// running makes a computer and waits until its operation ends.
func (a agents) running(ctx context.Context) (id string, err error) {
	made, _, err := a.call(ctx, http.MethodPost, "/computers", "{}")
	if err != nil {
		return "", err
	}
	return made.Computer.ID, a.ended(ctx, made)
}

func (a agents) ended(ctx context.Context, r agentReply) (err error) {
	ctx, cancel := context.WithTimeout(ctx, operationTime)
	defer cancel()
	for r.Operation != nil && r.Operation.Status != "succeeded" {
		if r.Operation.Status == "failed" {
			return errors.New(r.Operation.Error)
		}
		if err := pause(ctx, operationLook); err != nil {
			return err
		}
		if r, _, err = a.call(ctx, http.MethodGet, "/operations/"+r.Operation.ID, ""); err != nil {
			return err
		}
	}
	return nil
}

func (a agents) exec(ctx context.Context, id string) error {
	r, _, err := a.call(ctx, http.MethodPost, "/computers/"+id+"/exec", `{"command":["true"]}`)
	if err == nil && r.ExitCode != 0 {
		err = fmt.Errorf("true ended with %d", r.ExitCode)
	}
	return err
}

// guestOf talks to the guest of a computer without anything between.
func guestOf(n *house.Node, id string) *guest.Client {
	return guest.Dial(filepath.Join(n.Dir, "computers", "computers", id, "guest.sock"))
}

// agentExecs times `true` through the dialect, beside a bare call of the guest's
// socket.
func (b *bench) agentExecs(ctx context.Context, h *house.House, t *measure.Table, n int) error {
	first := agents{h, h.Nodes[0]}
	id, err := first.running(ctx)
	if err != nil {
		return fmt.Errorf("make a computer: %w", err)
	}
	_, name, err := first.call(ctx, http.MethodGet, "/computers/"+id, "")
	if err != nil {
		return err
	}
	owner, others := h.Named(name)
	if owner == nil {
		return fmt.Errorf("the owner is %q, which is no node of this house", name)
	}
	var bare measure.Samples
	g := guestOf(owner, id)
	for range n {
		_ = bare.Time(func() error {
			exit, err := g.Exec(ctx, runtime.Cmd{Argv: []string{"true"}})
			if err == nil && exit.Code != 0 {
				err = fmt.Errorf("true ended with %d", exit.Code)
			}
			return err
		})
	}
	t.Compare("a bare call of the guest's socket", &bare, nil)
	for _, way := range []struct {
		name string
		node *house.Node
	}{{"POST /v1/computers/:id/exec at the owner", owner}, {"the same through another node", others[0]}} {
		var s measure.Samples
		for range n {
			_ = s.Time(func() error { return agents{h, way.node}.exec(ctx, id) })
		}
		t.Compare(way.name, &s, &bare)
	}
	_, _, err = first.call(ctx, http.MethodDelete, "/computers/"+id, "")
	return errors.Join(err, g.Close(), bare.FirstFailure())
}
