package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/bench/measure"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// dueTogether is how many schedules are due within one second.
	dueTogether = 1000
	// noteTime is allowed for storing each of them before that second.
	noteTime = 25 * time.Millisecond
	// firePatience bounds how long their runs may take to end.
	firePatience = 2 * time.Minute
	firePoll     = 200 * time.Millisecond
	greeting     = "say hello" // needs no computer
)

// schedules has many be due in one second, and again while the leader dies.
func (b *bench) schedules(ctx context.Context) error {
	n := b.count(dueTogether)
	t := measure.Latencies(fmt.Sprintf("%d schedules due within one second, three nodes", n))
	err := b.in(ctx, house.Shape{Nodes: 3, Memory: smallMemory}, func(h *house.House) error {
		peer, took := measure.AtOnce(n, func(i int) error {
			_, err := h.Client(i%len(h.Nodes)).Run(ctx, client.Message{Content: greeting}, nil)
			return err
		})
		t.Compare("peer: as many messages through the API at once, each to its run's end", peer, nil)
		t.Note("the messages were all done after %s ms", measure.MS(took))
		if err := due(ctx, h, t, "calm", n, peer, nil); err != nil {
			return err
		}
		return due(ctx, h, t, "leader killed amid the second", n, peer, func() error {
			leader, _, err := h.Leader(ctx)
			if err == nil {
				err = leader.Kill()
			}
			return err
		})
	})
	t.Note("each schedule ran exactly once; times are from the tick to what the log's own clock says")
	return errors.Join(err, t.Write(b.out))
}

// due stores schedules whose ticks are spread over one second, does something in
// the middle of that, and waits until all their runs have ended.
func due(ctx context.Context, h *house.House, t *measure.Table, name string, n int, peer *measure.Samples, amid func() error) error {
	at := time.Now().Add(time.Duration(n)*noteTime + 5*time.Second).Truncate(time.Second)
	stored, _ := measure.AtOnce(n, func(i int) error {
		tick := at.Add(time.Second * time.Duration(i) / time.Duration(n)).UTC()
		_, err := h.Client(i%len(h.Nodes)).Schedules().Create(ctx, wire.WriteSchedule{Name: wire.Some(fmt.Sprintf("%s %d", name, i)),
			Task: wire.Some(greeting), ScheduledTime: wire.Some(tick.Format(time.RFC3339Nano))})
		return err
	})
	if err := stored.FirstFailure(); err != nil {
		return err
	}
	if time.Now().After(at) {
		return fmt.Errorf("storing %d schedules took longer than %s for each", n, noteTime)
	}
	if err := pause(ctx, time.Until(at.Add(time.Second/2))); err != nil {
		return err
	}
	if amid != nil {
		if err := amid(); err != nil {
			return err
		}
	}
	ticks, err := fired(ctx, h, name, n)
	if err != nil {
		return err
	}
	var recorded, ended measure.Samples
	for _, s := range ticks {
		recorded.Add(s.LastRunAt.Sub(s.ScheduledTime.Time))
	}
	err = allOf(ctx, func(p client.Page) (bool, error) {
		list, err := h.Alive().Threads().List(ctx, client.ThreadFilter{}, p)
		for _, one := range list.Data {
			if one.Title != nil && ticks[*one.Title] != nil {
				ended.Add(one.UpdatedAt.Sub(ticks[*one.Title].ScheduledTime.Time))
			}
		}
		return list.HasMore, err
	})
	if count, _ := ended.Count(); err == nil && count != n {
		err = fmt.Errorf("%s: %d schedules made %d threads", name, n, count)
	}
	t.Compare(name+": tick to run recorded", &recorded, peer)
	t.Compare(name+": tick to run ended", &ended, peer)
	return err
}

// fired waits until every schedule of a name has had its one run to its end.
func fired(ctx context.Context, h *house.House, name string, n int) (map[string]*wire.Schedule, error) {
	ctx, cancel := context.WithTimeout(ctx, firePatience)
	defer cancel()
	for {
		over := map[string]*wire.Schedule{}
		err := allOf(ctx, func(p client.Page) (bool, error) {
			list, err := h.Alive().Schedules().List(ctx, p)
			for _, s := range list.Data {
				if strings.HasPrefix(s.Name, name+" ") && s.SuccessCount > 0 {
					over[s.Name] = &s
				}
				if s.RunCount > 1 || s.FailureCount > 0 || s.MissedCount > 0 {
					return false, fmt.Errorf("%s: %d runs, %d failed, %d missed", s.Name, s.RunCount, s.FailureCount, s.MissedCount)
				}
			}
			return list.HasMore, err
		})
		if err != nil || len(over) == n {
			return over, err
		}
		if err := pause(ctx, firePoll); err != nil {
			return nil, fmt.Errorf("%s: %d of %d have run: %w", name, len(over), n, err)
		}
	}
}

// allOf reads a list to its end.
func allOf(ctx context.Context, read func(client.Page) (more bool, err error)) error {
	const most = 100
	for p := (client.Page{Limit: most}); ; p.Offset += most {
		more, err := read(p)
		if err != nil || !more || ctx.Err() != nil {
			return err
		}
	}
}
