package fake

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// Rule says how calls go that match it.
type Rule struct {
	Op    Op         // which method
	ID    runtime.ID // which computer; "" is any
	Times int        // how many calls; 0 is all
	// Delay is waited before the call acts.
	Delay time.Duration
	// Hold keeps the call waiting before it acts, until it is closed.
	Hold <-chan struct{}
	// Err is the answer. The call does not act, unless Late: then it acts
	// first, as when a node dies between the act and its record.
	Err  error
	Late bool
}

// Script is what will go wrong, what commands do and who listens. It may be changed
// while drivers use it; the zero Script lets all go well.
type Script struct {
	mu    sync.Mutex
	rules []*Rule
	exec  ExecFunc
	guest GuestFunc
	dial  DialFunc
	// display is where the computers' display answers; 0 is none.
	display uint16
}

// ExecFunc plays a command. It must return when ctx is done.
type ExecFunc func(ctx context.Context, id runtime.ID, cmd runtime.Cmd) (runtime.Exit, error)

// GuestFunc plays the guest of a computer.
type GuestFunc func(id runtime.ID) http.RoundTripper

// DialFunc plays what listens on a port of a computer. A port that nothing
// listens on is runtime.ErrRefused.
type DialFunc func(ctx context.Context, id runtime.ID, port uint16) (net.Conn, error)

// Add puts a rule behind the others; the first that matches a call is used.
func (s *Script) Add(r Rule) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = append(s.rules, &r)
}

// Clear drops all rules, and leaves the commands and those who listen.
func (s *Script) Clear() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules = nil
}

// Run sets what commands do; nil is the default.
func (s *Script) Run(f ExecFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.exec = f
}

func (s *Script) player() ExecFunc {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.exec
}

// Answer sets who answers as guest; nil is nobody: runtime.ErrUnsupported.
func (s *Script) Answer(f GuestFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.guest = f
}

// Listen sets what listens on ports; nil is nothing.
func (s *Script) Listen(f DialFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dial = f
}

// Show gives every computer a display at a port, which is up when it is asked
// for; 0 is none.
func (s *Script) Show(port uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.display = port
}

func (s *Script) shown() uint16 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.display
}

func (s *Script) listeners() (GuestFunc, DialFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.guest, s.dial
}

// take finds the rule for a call and counts it.
func (s *Script) take(op Op, id runtime.ID) Rule {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, r := range s.rules {
		if r.Op != op || (r.ID != "" && r.ID != id) {
			continue
		}
		rule := *r
		if r.Times > 0 {
			if r.Times--; r.Times == 0 {
				s.rules = slices.Delete(s.rules, i, i+1)
			}
		}
		return rule
	}
	return Rule{}
}

// before waits as the rule says, and returns its error unless it comes late.
func (r Rule) before(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if r.Delay > 0 {
		timer := time.NewTimer(r.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.Hold != nil {
		select {
		case <-r.Hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.Err != nil && !r.Late {
		return fmt.Errorf("scripted: %w", r.Err)
	}
	return nil
}

func (r Rule) after() error {
	if r.Err != nil && r.Late {
		return fmt.Errorf("scripted, after the act: %w", r.Err)
	}
	return nil
}
