package actors

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// tellEvery is how often what was done for the first time is audited, and
	// retellEvery how often what was done again is.
	tellEvery   = 2 * time.Second
	retellEvery = time.Minute
	// tellWait bounds the last time, when the node stops.
	tellWait = 2 * time.Second
	// maxDeeds bounds what a node remembers to audit, and maxDeedsEach what it does
	// of one account, so that no account takes the room of another.
	maxDeeds     = 4096
	maxDeedsEach = 512
	// maxNamed bounds the names that one record tells, and maxNameBytes each.
	maxNamed     = 5
	maxNameBytes = 80
)

// Diary has audited what is done with computers and changes no record: behind the
// request, which waits for no log, and counted by the minute, so that who does one
// thing all day fills no log with it. A node that is killed forgets what it has not
// told: what was done first in the last tellEvery, and how often what was done
// again since.
type Diary struct {
	cluster Cluster
	metrics *metrics
	log     *slog.Logger
	now     func() time.Time

	mu    sync.Mutex
	deeds map[deedKey]*deed
	each  map[state.AccountID]int
	mute  bool // the last try to tell failed
}

// deedKey is what is counted together: one action of one actor on one computer.
type deedKey struct {
	action   string
	account  state.AccountID
	computer state.ComputerID
	way      state.Resource
	by       state.Cause // without what is one request's own
}

// deed is how often something was done since it was told.
type deed struct {
	by     state.Cause // the first time's
	count  int
	first  time.Time
	names  []string
	others bool      // there were more names
	told   time.Time // zero: not yet
}

func newDiary(c Cluster, m *metrics, log *slog.Logger, now func() time.Time) *Diary {
	return &Diary{cluster: c, metrics: m, log: log, now: now, deeds: map[deedKey]*deed{}, each: map[state.AccountID]int{}}
}

// wayKey is where a context has what opened the way.
type wayKey struct{}

// Through is ctx for what somebody does whom no key of the API let in, but a
// session or an SSH key: that is who did it.
func Through(ctx context.Context, way state.Resource) context.Context {
	return context.WithValue(ctx, wayKey{}, way)
}

// ThroughSession is Through for an access session.
func ThroughSession(ctx context.Context, s state.AccessSession) context.Context {
	return Through(ctx, state.Resource{Kind: "session", ID: string(s.ID)})
}

// Note remembers that something was done with a computer, by whoever ctx says.
// Names are paths and the like: never what is in a command or a file.
func (d *Diary) Note(ctx context.Context, action string, account state.AccountID, id state.ComputerID, names ...string) {
	by := state.CauseOf(ctx)
	way, ok := ctx.Value(wayKey{}).(state.Resource)
	if !ok {
		way = state.Resource{Kind: "computer", ID: string(id)}
	}
	k := deedKey{action: action, account: account, computer: id, way: way, by: state.Cause{Account: by.Account, User: by.User, Key: by.Key}}
	d.mu.Lock()
	defer d.mu.Unlock()
	one, ok := d.deeds[k]
	if !ok {
		if len(d.deeds) >= maxDeeds || d.each[account] >= maxDeedsEach {
			d.metrics.deeds.WithLabelValues("dropped").Inc()
			return
		}
		one = &deed{}
		d.deeds[k] = one
		d.each[account]++
	}
	if one.count == 0 {
		one.by, one.first = by, d.now()
	}
	one.count++
	one.name(names)
}

// name adds names that are not among those there are.
func (one *deed) name(names []string) {
	for _, name := range names {
		if len(name) > maxNameBytes {
			name = strings.ToValidUTF8(name[:maxNameBytes], "") + "…"
		}
		switch {
		case name == "" || slices.Contains(one.names, name):
		case len(one.names) < maxNamed:
			one.names = append(one.names, name)
		default:
			one.others = true
		}
	}
}

// detail is the names as people read them.
func (one *deed) detail() string {
	text := strings.Join(one.names, ", ")
	if one.others {
		text += " and others"
	}
	return text
}

// keep tells what was done until ctx ends, and then the rest.
func (d *Diary) keep(ctx context.Context) {
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.tell(ctx, retellEvery)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), tellWait)
			defer cancel()
			d.tell(last, 0)
			return
		}
	}
}

// tell has audited what is due: what was never told, and what was not for a while.
func (d *Diary) tell(ctx context.Context, while time.Duration) {
	for {
		due := d.take(while)
		if len(due) == 0 {
			return
		}
		uses := make([]state.Use, 0, len(due))
		now := d.now()
		for _, p := range due {
			uses = append(uses, state.Use{Action: p.key.action, Account: p.key.account, Resource: p.key.way, Computer: p.key.computer,
				Detail: p.detail(), By: p.by, Count: p.count, Age: now.Sub(p.first)})
		}
		// It is sent again until it is answered, so nothing is told twice.
		if _, err := d.cluster.Apply(ctx, state.RecordUses{Uses: uses}); err != nil {
			d.untold(due, err)
			return
		}
		d.mute = false
		for _, p := range due {
			d.metrics.deeds.WithLabelValues("told").Add(float64(p.count))
		}
	}
}

// page is a deed on its way to the log.
type page struct {
	key deedKey
	deed
}

// take takes at most one command's worth of what is due, and forgets what was not
// done again.
func (d *Diary) take(while time.Duration) (due []page) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.now()
	for k, one := range d.deeds {
		switch {
		case now.Sub(one.told) < while:
		case one.count == 0:
			d.drop(k)
		case len(due) < state.MaxUses:
			due = append(due, page{k, *one})
			*one = deed{told: now}
		}
	}
	return due
}

func (d *Diary) drop(k deedKey) {
	delete(d.deeds, k)
	if d.each[k.account]--; d.each[k.account] == 0 {
		delete(d.each, k.account)
	}
}

// untold puts back what could not be told, unless it may have been.
func (d *Diary) untold(due []page, err error) {
	if !d.mute {
		d.mute = true
		d.log.Warn("what is done with computers is not audited just now", "err", err)
	}
	var f *fault.Error
	unclear := errors.As(err, &f) && f.Code == fault.CodeUnclear
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, p := range due {
		one := d.deeds[p.key]
		if unclear || one == nil { // nothing takes it away meanwhile: told is now
			d.metrics.deeds.WithLabelValues("dropped").Add(float64(p.count))
			continue
		}
		again := *one
		*one = p.deed
		one.told = time.Time{}
		one.count += again.count
		one.others = one.others || again.others
		one.name(again.names)
	}
}
