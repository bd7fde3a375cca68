package network

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"sync"
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
	Node string         // the node's uuid
	Deny []netip.Prefix // more that computers may not reach, such as other nodes
	Log  *slog.Logger
}

// Network makes and removes the links of one node's computers. Its methods may
// be called from many goroutines.
type Network struct {
	Options
	tag string // of this node, in names

	mu sync.Mutex // held while rules or links change
}

// Open makes a Network. It changes nothing on the machine until the first
// Attach.
func Open(o Options) (*Network, error) {
	if o.Node == "" || o.Log == nil {
		return nil, fmt.Errorf("open network: a node and a logger are required")
	}
	return &Network{Options: o, tag: tagOf(o.Node)}, nil
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

// Attach gives the namespace of process pid a way out. The index is the
// computer's own on this machine, 0 to MaxIndex. Doing it twice is success.
func (n *Network) Attach(ctx context.Context, index, pid int) error {
	if index < 0 || index > MaxIndex {
		return fmt.Errorf("attach to network: index %d is outside 0 to %d", index, MaxIndex)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := n.applyRules(); err != nil {
		return fmt.Errorf("attach to network: %w", err)
	}
	if err := n.makeLink(index, pid); err != nil {
		return fmt.Errorf("attach to network: %w", err)
	}
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
	if !gone {
		return nil
	}
	return n.tidy()
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
	for _, name := range names {
		var index int
		if _, err := fmt.Sscanf(strings.TrimPrefix(name, linkPrefix+n.tag+"-"), "%x", &index); err == nil && keep(index) {
			continue
		}
		if _, err := deleteLink(name); err != nil {
			return fmt.Errorf("sweep network: %w", err)
		}
	}
	return n.tidy()
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
	return n.dropRules()
}
