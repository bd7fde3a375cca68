package actors

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// maxDepartures bounds the computers that leave a node at once.
	maxDepartures = 4
	// departGrace is how long runs may take to come to the end of a step before a
	// computer leaves, and commandGrace how long commands and terminals are waited
	// for where no run is. What goes on for longer is cut: a run's tool is told as
	// interrupted.
	departGrace  = 5 * time.Minute
	commandGrace = 10 * time.Second
	// evictGrace is how long those that are cut may take to let go.
	evictGrace = 10 * time.Second
	// returnRest is how long a computer is left alone that came back, because its
	// disk could not be made where it was sent.
	returnRest = 10 * time.Minute
	// departRetry is after how long a computer that could not leave is tried again.
	departRetry = 15 * time.Second
)

// DepartureStep is how far a computer is on its way off a node.
type DepartureStep string

const (
	DepartureWaits   DepartureStep = "waiting"  // for its turn
	DepartureSaves   DepartureStep = "saving"   // off the node, while it goes on
	DepartureSends   DepartureStep = "sending"  // to its next node, while it goes on
	DepartureSettles DepartureStep = "settling" // what runs in it comes to an end
	DepartureMoves   DepartureStep = "moving"   // it is stopped here and handed over
	DepartureStays   DepartureStep = "staying"  // it cannot go: Why says why
)

// Departure is a computer that is to leave its node.
type Departure struct {
	Computer state.ComputerID `json:"computer"`
	Step     DepartureStep    `json:"step"`
	Why      string           `json:"why,omitempty"`
	Since    time.Time        `json:"since"`
}

// departures are those of this node that have begun, or could not.
type departures struct {
	mu    sync.Mutex
	turns chan struct{}
	of    map[state.ComputerID]*Departure
	now   func() time.Time
	grace time.Duration // departGrace
	retry time.Duration // departRetry
	// commands is commandGrace.
	commands time.Duration

	going  sync.WaitGroup
	closed bool
}

func newDepartures(now func() time.Time) *departures {
	return &departures{turns: make(chan struct{}, maxDepartures), of: map[state.ComputerID]*Departure{}, now: now, grace: departGrace, retry: departRetry, commands: commandGrace}
}

// begin takes a computer in that does not leave already, and has move see to it.
func (d *departures) begin(id state.ComputerID, move func()) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	at := d.of[id]
	if d.closed || at != nil && (at.Step != DepartureStays || d.now().Sub(at.Since) < d.retry) {
		return false
	}
	d.of[id] = &Departure{Computer: id, Step: DepartureWaits, Since: d.now()}
	d.going.Go(move)
	return true
}

// close waits for those that go on, which see their context end.
func (d *departures) close() {
	d.mu.Lock()
	d.closed = true
	d.mu.Unlock()
	d.going.Wait()
}

func (d *departures) step(id state.ComputerID, step DepartureStep, why string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.of[id] = &Departure{Computer: id, Step: step, Why: why, Since: d.now()}
}

func (d *departures) gone(id state.ComputerID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.of, id)
}

// forget drops what is known of computers that could not leave.
func (d *departures) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, at := range d.of {
		if at.Step == DepartureStays {
			delete(d.of, id)
		}
	}
}

// staying counts those that could not leave.
func (d *departures) staying() (n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, at := range d.of {
		if at.Step == DepartureStays {
			n++
		}
	}
	return n
}

func (d *departures) list() []Departure {
	d.mu.Lock()
	defer d.mu.Unlock()
	all := make([]Departure, 0, len(d.of))
	for _, at := range d.of {
		all = append(all, *at)
	}
	slices.SortFunc(all, func(a, b Departure) int { return cmp.Compare(a.Computer, b.Computer) })
	return all
}

// drain gives away what this node has, as long as its record says that it drains.
func (s *System) drain(ctx context.Context) {
	tick := time.NewTicker(departRetry)
	defer tick.Stop()
	for {
		if err := s.departAll(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("give away this node's computers", "err", err)
		}
		select {
		case <-s.drains:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// departAll begins the departure of every computer that this node has, while it
// drains: first those that are down, whose moves cost nobody anything.
func (s *System) departAll(ctx context.Context) error {
	if s.o.Lease.Held() != nil {
		return nil
	}
	self := s.o.Cluster.Self()
	list, err := applied(s.o.Cluster, func(v *state.View) (list []state.Computer, err error) {
		n, known, err := v.FindNode(self)
		if err != nil || !known || !n.Draining() {
			return nil, err
		}
		err = v.ComputersOn(self, func(c state.Computer) bool {
			if c.Wish != state.WishDeleted {
				list = append(list, c)
			}
			return true
		})
		return list, err
	})
	if len(list) == 0 {
		s.departures.forget()
		return err
	}
	slices.SortStableFunc(list, func(a, b state.Computer) int { return cmp.Compare(trouble(a), trouble(b)) })
	for _, c := range list {
		s.departures.begin(c.ID, func() {
			if err := s.depart(ctx, c.ID, ""); err != nil && ctx.Err() == nil {
				s.log.Info("a computer cannot leave this node yet", "computer", string(c.ID), "err", err)
			}
		})
	}
	return err
}

// trouble is how much a move costs those who use a computer.
func trouble(c state.Computer) int {
	switch {
	case c.Live > 0:
		return 2
	case c.Phase.Up():
		return 1
	}
	return 0
}

// depart moves a computer that begin has taken in to another node, or to one
// that the leader chooses. Its runs go on there from the end of a step.
func (s *System) depart(ctx context.Context, id state.ComputerID, to state.NodeID) (err error) {
	defer func() {
		if err != nil {
			s.departures.step(id, DepartureStays, faultText(translate(err)))
		} else {
			s.departures.gone(id)
		}
	}()
	select {
	case s.departures.turns <- struct{}{}:
		defer func() { <-s.departures.turns }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c, owner, err := s.shop.owned(id)
	if err != nil || !owner || to == "" && !s.draining() {
		return err
	}
	defer func() {
		if ctx.Err() == nil {
			s.shop.metrics.departed(err)
		}
	}()
	how, err := s.prepare(ctx, c, to)
	if err != nil {
		return err
	}
	calm, empty, ok := s.shop.barriers.close(id)
	if !ok {
		return fault.New(fault.Conflict, "computer %s is being given away already", id)
	}
	defer s.reopen(id)
	s.departures.step(id, DepartureSettles, "")
	if err := s.settleVisits(ctx, id, calm, empty); err != nil {
		return err
	}
	s.departures.step(id, DepartureMoves, "")
	begun := s.o.Now()
	_, err = s.system.ask(ctx, computerKind, string(id), how, newComputer(s.shop.ownership, id))
	if err == nil {
		s.log.Info("a computer left this node", "computer", string(id), "to", string(how.to), "down", s.o.Now().Sub(begun).Round(time.Millisecond))
	}
	return err
}

// prepare finds out where a computer goes, and brings most of its disk there, or
// to the blob store, while it goes on.
func (s *System) prepare(ctx context.Context, c state.Computer, to state.NodeID) (how part, err error) {
	sends := s.shop.sends(c)
	switch rest := returnRest - s.o.Now().Sub(c.ReturnedAt); {
	case c.Sent.Name != "":
		return how, fault.New(fault.Conflict, "its disk was sent here and is not made yet")
	case sends && c.SendError != "" && rest > 0:
		return how, fault.New(fault.Unavailable, "the node that it was given to gave it back, and it is tried again in %s: %s", rest.Round(time.Second), c.SendError)
	}
	if c.DataNode == c.Node && !sends {
		s.departures.step(c.ID, DepartureSaves, "")
		if err := s.local.Save(ctx, c.ID); err != nil {
			return how, fault.New(fault.Of(err), "its data is on this node alone: %s", faultText(translate(err)))
		}
	}
	if how.to = to; to == "" {
		if how.to, err = s.o.Cluster.Elsewhere(ctx, c.ID); err != nil {
			return how, err
		}
	}
	if sends {
		s.departures.step(c.ID, DepartureSends, "")
		if how.sent, err = s.shop.sendAhead(ctx, c.ID, how.to); err != nil {
			return how, fault.New(fault.Of(translate(err)), "its data is on this node alone: %s", faultText(translate(err)))
		}
	}
	return how, nil
}

// draining reports whether this node drains as its replica has it.
func (s *System) draining() bool {
	n, err := applied(s.o.Cluster, func(v *state.View) (state.Node, error) { return v.Node(s.o.Cluster.Self()) })
	return err == nil && n.Draining()
}

// settleVisits waits until nothing is under way in a computer whose barrier is shut,
// and cuts what takes too long. What still goes on at the end ends with the computer.
func (s *System) settleVisits(ctx context.Context, id state.ComputerID, calm, empty <-chan struct{}) error {
	select {
	case <-empty:
		return nil
	case <-time.After(s.departures.commands):
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, grace := range []time.Duration{s.departures.grace, evictGrace} {
		select {
		case <-calm: // only commands are left, which have had their time
			return nil
		case <-time.After(grace):
			s.shop.barriers.evict(id)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// reopen lets work go on with a computer, wherever it is now.
func (s *System) reopen(id state.ComputerID) {
	s.shop.barriers.open(id)
	runs, err := applied(s.o.Cluster, func(v *state.View) (runs []state.RunID, err error) {
		err = v.LiveRuns(id, func(r state.Run) bool { runs = append(runs, r.ID); return true })
		return runs, err
	})
	for _, run := range runs {
		err = errors.Join(err, s.attendTo(run))
	}
	if err != nil {
		s.log.Warn("go on with a computer's runs", "computer", string(id), "err", err) // lookAll comes back to them
	}
}
