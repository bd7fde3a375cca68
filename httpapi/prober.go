package httpapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

// Prober records how what this node serves is.
type Prober interface {
	Report(ctx context.Context, found []state.Probe) error
}

// probeTimeout bounds one probe; what takes longer is down.
const probeTimeout = 10 * time.Second

// probe looks at what this node serves, once in state.ProbeEvery, until ctx ends.
func (s *Server) probe(ctx context.Context, addr string) {
	tick := time.NewTicker(state.ProbeEvery)
	defer tick.Stop()
	for {
		bounded, cancel := context.WithTimeout(ctx, state.ProbeEvery)
		if err := s.Prober.Report(bounded, s.probes(bounded, addr)); err != nil && ctx.Err() == nil && !fault.Is(err, fault.Unavailable) {
			s.Log.Warn("record probes", "err", err)
		}
		cancel()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// probes are the real things: a request to the door that clients use, a read
// that a leader confirms, and a node that can take a computer.
func (s *Server) probes(ctx context.Context, addr string) []state.Probe {
	return []state.Probe{
		s.timed(ctx, "api", func(ctx context.Context) error { return askAlive(ctx, addr) }),
		s.timed(ctx, "records", func(ctx context.Context) error {
			v, err := s.Records.View(ctx)
			if err == nil {
				v.Close()
			}
			return err
		}),
		s.timed(ctx, "computers", func(context.Context) error {
			if len(s.AgentComputer.Hosts.Rooms()) == 0 {
				return errors.New("no node takes computers")
			}
			return nil
		}),
	}
}

func (s *Server) timed(ctx context.Context, service string, look func(context.Context) error) state.Probe {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	begun := s.Now()
	err := look(ctx)
	if err != nil && ctx.Err() == nil {
		s.Log.Info("a probe failed", "service", service, "err", err)
	}
	return state.Probe{Service: service, Good: err == nil, Millis: s.Now().Sub(begun).Milliseconds()}
}

// askAlive makes a request of its own connection, as a client's would be.
func askAlive(ctx context.Context, addr string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/healthz", nil)
	if err != nil {
		return fmt.Errorf("ask the door: %w", err)
	}
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("ask the door: %w", err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(res.Body, 1<<10)); err != nil {
		return fmt.Errorf("ask the door: %w", err)
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("the door answers %s", res.Status)
	}
	return nil
}
