package network

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/network/resolver"
)

const (
	// linkPrefix begins the name of every link that a Bothy node made.
	linkPrefix = "by-"
	// tablePrefix begins the name of every nftables table of one.
	tablePrefix = "bothy-"
	// MaxIndex is the highest number a link may have.
	MaxIndex = 1<<16 - 1
)

// pool is where links get their addresses from, four for each index. It lies
// in the range that carriers use between themselves, which neither machines
// nor the public internet route.
var pool = netip.MustParsePrefix("100.68.0.0/14")

// Options say whose network this is.
type Options struct {
	Node string // the node's uuid
	Log  *slog.Logger
	// Servers are the name servers that are asked for computers; none means
	// those of the machine.
	Servers []netip.AddrPort
}

// Network makes and removes the links of one node's computers. Its methods may
// be called from many goroutines.
type Network struct {
	Options
	tag string // of this node, in names

	mu       sync.Mutex       // held while rules or links change
	resolver *resolver.Server // since the first Attach
	ground   *ground          // of the rules as they are; nil for not known
	refused  []netip.Prefix   // see Refuse; written with both locks held

	known     sync.RWMutex // over computers and refused
	computers map[int]*computer
}

// Open makes a Network. It changes nothing on the machine until the first
// Attach.
func Open(o Options) (*Network, error) {
	if o.Node == "" || o.Log == nil {
		return nil, fmt.Errorf("open network: a node and a logger are required")
	}
	return &Network{Options: o, tag: tagOf(o.Node), computers: map[int]*computer{}}, nil
}

// tagOf shortens a uuid to what fits into the name of a link, which is at most
// 15 bytes long.
func tagOf(node string) string {
	sum := sha256.Sum256([]byte(node))
	return hex.EncodeToString(sum[:3])
}

func (n *Network) linkName(index int) string { return fmt.Sprintf("%s%s-%x", linkPrefix, n.tag, index) }
func (n *Network) tableName() string         { return tablePrefix + n.Node }

// addresses are the machine's and the computer's end of a link.
func addresses(index int) (machine, computer netip.Prefix) {
	base := pool.Addr().As4()
	value := uint32(base[0])<<24 | uint32(base[1])<<16 | uint32(base[2])<<8 | uint32(base[3])
	at := func(offset int) netip.Prefix {
		v := value + uint32(index*4+offset)
		return netip.PrefixFrom(netip.AddrFrom4([4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}), 30)
	}
	return at(1), at(2)
}

// computerAt is the inverse of addresses, for a computer's end; false for what
// is none.
func computerAt(addr netip.Addr) (index int, ok bool) {
	if !pool.Contains(addr) {
		return 0, false
	}
	base, at := pool.Addr().As4(), addr.As4()
	index = int(binary.BigEndian.Uint32(at[:])-binary.BigEndian.Uint32(base[:])) / 4
	_, end := addresses(index)
	return index, end.Addr() == addr
}

func (n *Network) computer(client netip.Addr) *computer {
	index, ok := computerAt(client)
	if !ok {
		return nil
	}
	n.known.RLock()
	defer n.known.RUnlock()
	return n.computers[index]
}

// Attach gives the namespace of process pid a way out, as far as the rules
// allow; attached before, it changes the rules, of open connections too. The
// index is the computer's own on this machine, 0 to MaxIndex. Doing it twice is
// success. A computer that an earlier life of the node attached is taken up.
func (n *Network) Attach(ctx context.Context, index, pid int, e runtime.Egress) error {
	if index < 0 || index > MaxIndex {
		return fmt.Errorf("attach to network: index %d is outside 0 to %d", index, MaxIndex)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.listen(); err != nil {
		return fmt.Errorf("attach to network: %w", err)
	}
	there := n.isLinked(index, pid)
	if err := n.applyRules(index, compile(e), there); err != nil {
		return fmt.Errorf("attach to network: %w", err)
	}
	if err := n.makeLink(index, pid, there); err != nil {
		return fmt.Errorf("attach to network: %w", err)
	}
	return nil
}

// listen starts the resolver, where an earlier life of the node had it if it
// can: queries on their way find it there.
func (n *Network) listen() (err error) {
	if n.resolver != nil {
		return nil
	}
	servers := new(machineServers).list
	if len(n.Servers) > 0 {
		servers = func() []netip.AddrPort { return n.Servers }
	}
	n.resolver, err = resolver.Listen(resolver.Options{Guard: n, Servers: servers, Port: portOf(n.Node), Log: n.Log})
	return err
}

// Ports that nodes of a machine try first for their resolvers lie below those
// that the kernel gives out by itself.
const (
	firstPort = 20000
	portCount = 10000
)

func portOf(node string) uint16 {
	sum := sha256.Sum256([]byte(node))
	return firstPort + binary.BigEndian.Uint16(sum[:2])%portCount
}

// applyRules writes the rules of one computer, and of the node if they are not
// as they should be. Of a link that is there already what was resolved before
// still counts.
func (n *Network) applyRules(index int, p policy, there bool) error {
	n.known.RLock()
	c, known := n.computers[index]
	n.known.RUnlock()
	if !known || !there {
		c, known = &computer{index: index}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	after, now := c.memory, time.Now()
	switch {
	case there && !known:
		var err error
		if after, err = n.recall(index, now); err != nil {
			return err
		}
	case !c.policy.rules.Equal(p.rules):
		after = c.memory.named()
	}
	g, err := n.survey()
	if err != nil {
		return err
	}
	write := func(base bool) error {
		s, err := n.begin()
		if err != nil {
			return err
		}
		if base {
			s.conn.AddTable(s.table)
			err = n.writeBase(s, g)
		}
		return errors.Join(err, s.writeComputer(index, n.linkName(index), p, after.judge(p, now), !there), s.commit())
	}
	same := n.ground != nil && reflect.DeepEqual(*n.ground, g)
	err = write(!same)
	if err != nil && same {
		err = write(true) // somebody has taken rules away
	}
	if err != nil {
		return err
	}
	n.ground, c.policy, c.memory = &g, p, after
	n.known.Lock()
	defer n.known.Unlock()
	n.computers[index] = c
	return nil
}

// Refuse says what else computers may never reach, such as other nodes, in
// place of what was said before. It holds for those that are attached too.
func (n *Network) Refuse(ctx context.Context, blocks []netip.Prefix) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	n.known.Lock()
	n.refused = blocks
	n.known.Unlock()
	if n.ground == nil {
		return nil // the first Attach writes it
	}
	g, err := n.survey()
	if err != nil {
		return fmt.Errorf("refuse addresses: %w", err)
	}
	s, err := n.begin()
	if err != nil {
		return fmt.Errorf("refuse addresses: %w", err)
	}
	if err := errors.Join(n.writeBase(s, g), s.commit()); err != nil {
		n.ground = nil // written anew with the next Attach
		return fmt.Errorf("refuse addresses: %w", err)
	}
	n.ground = &g
	return nil
}

// Detach takes the way out away, and the node's rules with the last one. Not
// attached is success.
func (n *Network) Detach(ctx context.Context, index int) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	gone, err := deleteLink(n.linkName(index))
	if err != nil {
		return fmt.Errorf("detach from network: %w", err)
	}
	n.known.Lock()
	_, had := n.computers[index]
	delete(n.computers, index)
	n.known.Unlock()
	if !gone && !had {
		return nil
	}
	if err := n.dropComputer(index); err != nil {
		return fmt.Errorf("detach from network: %w", err)
	}
	return n.tidy()
}

// Close stops resolving names for computers. Their links and rules stay.
func (n *Network) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.resolver == nil {
		return nil
	}
	err := n.resolver.Close()
	n.resolver = nil
	return err
}

// Sweep removes the links of this node for which keep says no, and the rules
// when none is left.
func (n *Network) Sweep(keep func(index int) bool) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	names, err := linkNames(linkPrefix + n.tag + "-")
	if err != nil {
		return fmt.Errorf("sweep network: %w", err)
	}
	kept := map[int]bool{}
	for _, name := range names {
		var index int
		if _, err := fmt.Sscanf(strings.TrimPrefix(name, linkPrefix+n.tag+"-"), "%x", &index); err == nil && keep(index) {
			kept[index] = true
			continue
		}
		if _, err := deleteLink(name); err != nil {
			return fmt.Errorf("sweep network: %w", err)
		}
	}
	if err := n.sweepChains(kept); err != nil {
		return fmt.Errorf("sweep network: %w", err)
	}
	return n.tidy()
}

// sweepChains removes the rules of computers whose links are gone, as they go
// by themselves with the computer's last process.
func (n *Network) sweepChains(kept map[int]bool) error {
	indexes, err := n.chains()
	if err != nil {
		return err
	}
	for _, index := range indexes {
		if kept[index] {
			continue
		}
		n.known.Lock()
		delete(n.computers, index)
		n.known.Unlock()
		if err := n.dropComputer(index); err != nil {
			return err
		}
	}
	return nil
}

// Sweep removes all links and rules of a node that is no more.
func Sweep(node string, log *slog.Logger) error {
	n, err := Open(Options{Node: node, Log: log})
	if err != nil {
		return err
	}
	return n.Sweep(func(int) bool { return false })
}

// tidy drops the rules when no link needs them.
func (n *Network) tidy() error {
	names, err := linkNames(linkPrefix + n.tag + "-")
	if err != nil || len(names) > 0 {
		return err
	}
	n.ground = nil
	return n.dropRules()
}
