package house

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/bothy-computer/bothy/cluster"
	"github.com/bothy-computer/bothy/cluster/identity"
	"github.com/bothy-computer/bothy/cluster/state"
)

// councilPatience bounds how long a council may take to be whole.
const councilPatience = time.Minute

// CouncilAccount is the account that a council begins with.
const CouncilAccount state.AccountID = "acct_bench"

// Council is three nodes' parts of a cluster in this process, without doors,
// actors or computers: what agreeing costs by itself. Transport, disks and
// intervals are those of real nodes.
type Council struct {
	Seats      []*cluster.Cluster
	identities []*identity.Identity
}

// OpenCouncil starts three voters in dir.
func OpenCouncil(ctx context.Context, dir string) (*Council, error) {
	ctx, cancel := context.WithTimeout(ctx, councilPatience)
	defer cancel()
	c := &Council{}
	for i := range 3 {
		if err := c.seat(ctx, filepath.Join(dir, "seat"+strconv.Itoa(i))); err != nil {
			return nil, errors.Join(fmt.Errorf("open a council: %w", err), c.Close())
		}
	}
	if err := c.settle(ctx); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Council) seat(ctx context.Context, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	id, err := identity.Open(identity.Options{Dir: dir, Name: filepath.Base(dir)})
	if err != nil {
		return err
	}
	c.identities = append(c.identities, id)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	o := cluster.Options{
		Identity: id, Listener: ln, Addrs: state.NodeAddrs{Peer: ln.Addr().String(), HTTP: "127.0.0.1:1", Version: "bench"},
		First: cluster.First{
			Account: state.Account{ID: CouncilAccount, Name: "bench", Unbilled: true},
			User:    state.User{ID: "user_bench", Account: CouncilAccount, Name: "bench", Role: "owner"},
			Key:     state.Key{ID: "key_bench", Account: CouncilAccount, User: "user_bench", Hash: "bench"},
		},
	}
	if len(c.Seats) > 0 {
		token, err := c.Seats[0].NewToken(ctx)
		if err != nil {
			return errors.Join(err, ln.Close())
		}
		o.Token = &token
	}
	one, err := cluster.Open(ctx, o)
	if err != nil {
		return err
	}
	c.Seats = append(c.Seats, one)
	return one.WaitReady(ctx)
}

// settle waits until all three vote.
func (c *Council) settle(ctx context.Context) error {
	for {
		status, err := c.Seats[0].Status(ctx)
		voters := 0
		for _, n := range status.Nodes {
			if n.Voter {
				voters++
			}
		}
		if err == nil && voters == len(c.Seats) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the council has %d voters: %w", voters, errors.Join(err, ctx.Err()))
		case <-time.After(settlePoll):
		}
	}
}

// Leader is the seat that leads, and another.
func (c *Council) Leader() (leader, other *cluster.Cluster) {
	for _, s := range c.Seats {
		if s.Leader() == s.Self() {
			leader = s
		} else {
			other = s
		}
	}
	return leader, other
}

// Close ends all three.
func (c *Council) Close() error {
	var errs []error
	for _, s := range c.Seats {
		errs = append(errs, s.Close())
	}
	for _, id := range c.identities {
		errs = append(errs, id.Close())
	}
	return errors.Join(errs...)
}
