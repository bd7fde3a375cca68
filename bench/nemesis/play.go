package nemesis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/bench/house"
	"github.com/bothy-computer/bothy/httpapi/client"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// calm is between two faults, so that the cluster is whole again for a while.
	calm = 8 * time.Second
	// patience bounds how long one call of a client may take: longer than a
	// cluster takes to recover from any one fault.
	patience = time.Minute
	// judging bounds how long all judgements may take.
	judging = 4 * time.Minute
	// startBalance is the tenant's money, in millionths of a dollar.
	startBalance = 1_000_000_000
	// computerBytes is a computer's memory, small so that all fit on one machine.
	computerBytes = 128 << 20
)

// Game is one play.
type Game struct {
	Bothy  string // path of the binary
	Base   string // directory for everything that is made
	Seed   uint64
	During time.Duration // of the faults; judging comes after
	Out    io.Writer
}

// witness is a kind of client. Work goes on until ctx ends and notes what it was
// told; failures of calls are no failures of the cluster. Judge is asked once the
// cluster is whole again, and says what was wrong and what was seen.
type witness interface {
	work(ctx context.Context)
	judge(ctx context.Context) (seen string, err error)
}

// game is a play that goes on.
type game struct {
	Game
	gentle  bool // nothing is done to nodes that may cost what was not saved
	house   *house.House
	admin   *client.Client // through all nodes
	key     string         // of the tenant that everything is of
	account string
	random  *rand.Rand // of the faults alone: clients are not in step
	leaps   []leap     // of clocks; judges read them once all faults are over
}

// Play plays, and prints what was done and seen. The error is what did not hold.
func Play(ctx context.Context, g Game) (err error) {
	fmt.Fprintf(g.Out, "nemesis: seed %d, %s\n", g.Seed, g.During)
	return (&game{Game: g}).open(ctx, g.Bothy, (*game).torment)
}

// open plays against nodes of a binary; course is what happens to them meanwhile.
func (p *game) open(ctx context.Context, bothy string, course func(*game, context.Context) error) (err error) {
	vendor, base, err := openVendor()
	if err != nil {
		return err
	}
	defer vendor.Close()
	saves, err := os.MkdirTemp(p.Base, "bothy-nemesis-saves-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(saves)) }()
	h, err := house.Open(ctx, bothy, p.Base, house.Shape{Nodes: 3, Apart: true, Memory: computerBytes, Saves: filepath.Join(saves, "store"), Vendor: base})
	if err != nil {
		return err
	}
	p.house, p.random = h, rand.New(rand.NewPCG(p.Seed, 0))
	defer func() {
		if err != nil {
			err = errors.Join(err, h.Keep(p.Base))
		}
		err = errors.Join(err, h.Close())
	}()
	if err := p.found(ctx); err != nil {
		return err
	}
	return p.play(ctx, course)
}

// found makes the tenant.
func (p *game) found(ctx context.Context) error {
	p.admin = p.house.ClientOf(p.house.Nodes...)
	balance := wire.USD(startBalance)
	a, err := p.admin.Accounts().Create(ctx, "nemesis", &balance)
	if err != nil {
		return fmt.Errorf("make the tenant: %w", err)
	}
	k, err := p.admin.Keys().Create(ctx, a.ID, wire.CreateKey{Name: "nemesis", NoLimit: true})
	if err != nil {
		return fmt.Errorf("make the tenant's key: %w", err)
	}
	p.account, p.key = a.ID, k.Text
	return nil
}

// through is the tenant's client that asks nodes in turn, beginning with one.
func (p *game) through(first int) *client.Client {
	var urls []string
	for i := range p.house.Nodes {
		urls = append(urls, p.house.Nodes[(first+i)%len(p.house.Nodes)].URL)
	}
	c, err := client.New(urls, p.key)
	if err != nil {
		panic(err) // the URLs are ours
	}
	c.HTTP = p.house.HTTP()
	return c
}

func (p *game) play(ctx context.Context, course func(*game, context.Context) error) error {
	homes, err := p.homes(ctx)
	if err != nil {
		return err
	}
	witnesses := map[string]witness{
		"records": newRegisters(p), "threads": newThreads(p, homes[:2]), "files": newFiles(p, homes[2:5]),
		"requests": newRequests(p, homes[5]), "schedules": newSchedules(p, homes[0]), "builds": newBuilds(p),
	}
	working, stop := context.WithCancel(ctx)
	defer stop()
	var work sync.WaitGroup
	for _, w := range witnesses {
		work.Go(func() { w.work(working) })
	}
	hurt := course(p, ctx)
	stop()
	work.Wait()
	if hurt != nil {
		return hurt
	}
	ctx, cancel := context.WithTimeout(ctx, judging)
	defer cancel()
	// What counts what is held and left comes after all that still runs.
	names := []string{"records", "threads", "files", "requests", "schedules", "builds", "money", "orphans", "replicas", "logs"}
	witnesses["money"], witnesses["orphans"], witnesses["replicas"], witnesses["logs"] = &money{p}, &orphans{p}, &replicas{p}, &logs{p}
	var wrong []error
	for _, name := range names {
		seen, err := witnesses[name].judge(ctx)
		fmt.Fprintf(p.Out, "  %-9s %s\n", name, seen)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("%s: %w", name, err))
		}
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("seed %d: %w", p.Seed, err)
	}
	return nil
}

// home is an environment and its computer.
type home struct{ environment, computer string }

// homesCount is how many computers are worked on.
const homesCount = 6

func (p *game) homes(ctx context.Context) (all []home, err error) {
	c := p.through(0)
	for i := range homesCount {
		env, err := c.Environments().Create(ctx, wire.WriteEnvironment{Name: wire.Some(fmt.Sprintf("home %d", i))})
		if err != nil {
			return nil, fmt.Errorf("make an environment: %w", err)
		}
		one := home{environment: env.ID}
		page := client.Page{Limit: 100}
		list, err := p.admin.Computers().List(ctx, p.account, page)
		if err != nil {
			return nil, fmt.Errorf("find a computer: %w", err)
		}
		for _, c := range list.Data {
			if c.EnvironmentID != nil && *c.EnvironmentID == env.ID {
				one.computer = c.ID
			}
		}
		if one.computer == "" {
			return nil, fmt.Errorf("environment %s has no computer", env.ID)
		}
		all = append(all, one)
	}
	return all, nil
}

// torment does one fault after the other, each undone before the next.
func (p *game) torment(ctx context.Context) error {
	begun := time.Now()
	for time.Since(begun) < p.During {
		if err := sleep(ctx, calm); err != nil {
			return err
		}
		f := faults[p.random.IntN(len(faults))]
		lasts := f.least + time.Duration(p.random.Int64N(int64(f.most-f.least)))
		if time.Since(begun)+lasts > p.During {
			break
		}
		nodes := p.shuffled()
		fmt.Fprintf(p.Out, "  %4.0f s %s %s, %.0f s\n", time.Since(begun).Seconds(), f.name, nodes[0].Name, lasts.Seconds())
		undo, err := f.do(ctx, p, nodes)
		if err == nil {
			err = sleep(ctx, lasts)
		}
		if undo != nil {
			err = errors.Join(err, undo())
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", f.name, nodes[0].Name, err)
		}
	}
	if err := p.house.Settle(ctx); err != nil {
		return fmt.Errorf("after all faults were undone: %w", err)
	}
	return nil
}

func (p *game) shuffled() []*house.Node {
	all := append([]*house.Node(nil), p.house.Nodes...)
	p.random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
