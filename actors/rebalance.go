package actors

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/placement"
)

// MaxRebalance bounds the moves that one request to rebalance begins.
const MaxRebalance = 20

// Rebalanced is a move, and why it was not begun; "" for one that was, or that
// was only asked for.
type Rebalanced struct {
	placement.Move
	Why string
}

// Plan lists at most so many moves that would even out what the nodes have; none
// when they are even.
func (s *Drains) Plan(ctx context.Context, most int) ([]placement.Move, error) {
	if most < 1 || most > MaxRebalance {
		return nil, fault.New(fault.Invalid, "max must be between 1 and %d", MaxRebalance).WithField("max")
	}
	return s.cluster.Rebalance(ctx, most)
}

// Rebalance begins the moves of Plan and does not wait for them: each owner gives
// its computers away as when it drains.
func (s *Drains) Rebalance(ctx context.Context, most int) ([]Rebalanced, error) {
	plan, err := s.Plan(ctx, most)
	if err != nil {
		return nil, err
	}
	done := make([]Rebalanced, 0, len(plan))
	for _, m := range plan {
		begin := s.leave
		if m.From != s.cluster.Self() {
			begin = func(m placement.Move) error { return s.remote.leave(ctx, m) }
		}
		r := Rebalanced{Move: m}
		if err := begin(m); err != nil {
			r.Why = faultText(translate(err))
		}
		done = append(done, r)
	}
	return done, nil
}

// leave has another node give a computer away.
func (w *wire) leave(ctx context.Context, m placement.Move) error {
	ctx, cancel := context.WithTimeout(ctx, askDeadline)
	defer cancel()
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+string(m.From)+departuresPath, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("ask node %s: %w", m.From, err)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return fmt.Errorf("ask node %s: %w", m.From, err)
	}
	if res.Header.Get(faultHeader) != "" {
		return refused(res)
	}
	return res.Body.Close()
}

// maxMoveBytes bounds a move on its way between nodes.
const maxMoveBytes = 4 << 10

// serveLeave begins a departure for another node.
func (s *Drains) serveLeave(w http.ResponseWriter, r *http.Request) {
	var m placement.Move
	err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxMoveBytes)).Decode(&m)
	if err != nil {
		err = fault.New(fault.Invalid, "no move: %w", err)
	} else {
		err = s.leave(m)
	}
	if err != nil {
		refuse(w, err)
	}
}

// leaveFor begins the departure of a computer of this node to another one.
func (s *System) leaveFor(ctx context.Context) func(placement.Move) error {
	return func(m placement.Move) error {
		if _, owner, err := s.shop.owned(m.Computer); err != nil || !owner {
			return fault.New(fault.Moved, "computer %s belongs to another node", m.Computer)
		}
		begun := s.departures.begin(m.Computer, func() {
			if err := s.depart(ctx, m.Computer, m.To); err != nil && ctx.Err() == nil {
				s.log.Info("a computer did not move", "computer", string(m.Computer), "to", string(m.To), "err", err)
			}
		})
		if !begun {
			return fault.New(fault.Conflict, "computer %s is being given away already, or could not a moment ago", m.Computer)
		}
		return nil
	}
}
