package network

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/network/resolver"
)

// computer is what a node keeps of a computer with a way out.
type computer struct {
	index int

	mu     sync.Mutex // held while its rules change
	policy policy
	memory memory
}

// Names of what a computer has in the node's table.
const (
	chainPrefix   = "computer-"
	openPrefix    = "open-"
	knownPrefix   = "known-"
	blockedPrefix = "blocked-"
)

// books are the sets that follow what a computer resolved.
type books struct{ open, known, blocked *nftables.Set }

func newBooks(index int) books {
	at := func(prefix string) *nftables.Set {
		return &nftables.Set{Name: fmt.Sprintf("%s%x", prefix, index), KeyType: nftables.TypeIPAddr}
	}
	b := books{at(openPrefix), at(knownPrefix), at(blockedPrefix)}
	b.open.HasTimeout = true
	return b
}

func (b books) all() []*nftables.Set { return []*nftables.Set{b.open, b.known, b.blocked} }

// writeComputer writes a computer's chain, and what the policy makes of all
// that it resolved.
//
//	denied, by block or by a name it led from      ─▶ cut
//	other name servers, where names matter         ─▶ cut
//	nothing is allowed in particular               ─▶ yes
//	allowed, by block or by a name that is fresh   ─▶ yes
//	an old connection to where a name once led     ─▶ yes
//	else                                           ─▶ cut
func (s *ruleSet) writeComputer(index int, link string, p policy, st standing, fresh bool) error {
	chain := s.chain(nftables.Chain{Name: fmt.Sprintf("%s%x", chainPrefix, index)})
	b := newBooks(index)
	if p.byName() || !fresh {
		if err := s.writeBooks(b, p, st); err != nil {
			return err
		}
	}
	denied, err := s.blocks(p.deny.blocks)
	if err != nil {
		return err
	}
	s.rule(chain, calledAddress(), in(denied), goOn(cutChain))
	if p.byName() {
		asking, err := s.ports(dnsPort, dnsTLSPort)
		if err != nil {
			return err
		}
		s.rule(chain, calledAddress(), in(b.blocked), goOn(cutChain))
		s.rule(chain, calledPort(), in(asking), goOn(cutChain))
	}
	if p.closed() {
		allowed, err := s.blocks(p.allow.blocks)
		if err != nil {
			return err
		}
		s.rule(chain, calledAddress(), in(allowed), verdict(expr.VerdictAccept))
	}
	if p.closed() && p.byName() {
		s.rule(chain, calledAddress(), in(b.open), verdict(expr.VerdictAccept))
		s.rule(chain, isReply(), calledAddress(), in(b.known), verdict(expr.VerdictAccept))
	}
	if p.closed() {
		s.rule(chain, goOn(cutChain))
	} else {
		s.rule(chain, verdict(expr.VerdictAccept))
	}
	_, err = s.choose(link, chain)
	return err
}

// choose has the packets of a link judged by a chain.
func (s *ruleSet) choose(link string, chain *nftables.Chain) (*nftables.Set, error) {
	computers, err := s.computers()
	if err != nil {
		return nil, err
	}
	return computers, s.conn.SetAddElements(computers, chosen(link, chain))
}

func chosen(link string, chain *nftables.Chain) []nftables.SetElement {
	name := make([]byte, unix.IFNAMSIZ)
	copy(name, link)
	return []nftables.SetElement{{Key: name, VerdictData: &expr.Verdict{Kind: expr.VerdictJump, Chain: chain.Name}}}
}

// writeBooks fills a computer's sets anew, or removes them where names do not
// matter.
func (s *ruleSet) writeBooks(b books, p policy, st standing) error {
	for _, set := range b.all() {
		if err := s.set(set); err != nil {
			return err
		}
		if !p.byName() {
			s.conn.DelSet(set)
			continue
		}
		s.conn.FlushSet(set)
	}
	return s.add(b, st)
}

// add adds to a computer's sets.
func (s *ruleSet) add(b books, st standing) error {
	var open []nftables.SetElement
	for addr, left := range st.open {
		open = append(open, nftables.SetElement{Key: addr.AsSlice(), Timeout: left})
	}
	return errors.Join(
		s.elements(s.conn.SetAddElements, b.open, open),
		s.elements(s.conn.SetAddElements, b.known, keys(st.known)),
		s.elements(s.conn.SetAddElements, b.blocked, keys(st.blocked)))
}

func (s *ruleSet) elements(change func(*nftables.Set, []nftables.SetElement) error, set *nftables.Set, elements []nftables.SetElement) error {
	if len(elements) == 0 {
		return nil
	}
	set.Table = s.table
	if err := change(set, elements); err != nil {
		return fmt.Errorf("change set %s: %w", set.Name, err)
	}
	return nil
}

func keys(addrs map[netip.Addr]bool) (out []nftables.SetElement) {
	for addr := range addrs {
		out = append(out, nftables.SetElement{Key: addr.AsSlice()})
	}
	return out
}

// dropComputer removes what a computer has in the node's table.
func (n *Network) dropComputer(index int) error {
	s, err := n.begin()
	if err != nil {
		return err
	}
	s.conn.AddTable(s.table)
	chain := s.chain(nftables.Chain{Name: fmt.Sprintf("%s%x", chainPrefix, index)})
	computers, err := s.choose(n.linkName(index), chain)
	if err != nil {
		return err
	}
	if err := s.conn.SetDeleteElements(computers, chosen(n.linkName(index), chain)); err != nil {
		return err
	}
	s.conn.DelChain(chain)
	if err := s.writeBooks(newBooks(index), policy{}, standing{}); err != nil {
		return err
	}
	return s.commit()
}

// Admits implements resolver.Guard.
func (n *Network) Admits(client netip.Addr, name string) resolver.Verdict {
	c := n.computer(client)
	if c == nil {
		return resolver.Stranger
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.says(name)
}

func (c *computer) says(name string) resolver.Verdict {
	if c.policy.admits(name) {
		return resolver.Admitted
	}
	return resolver.Refused
}

// Resolved implements resolver.Guard: what a name led to is open before the
// computer is told. An address inside is never opened, whoever names it.
func (n *Network) Resolved(client netip.Addr, name string, found []resolver.Address) (resolver.Verdict, error) {
	c := n.computer(client)
	if c == nil {
		return resolver.Stranger, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if verdict := c.says(name); verdict != resolver.Admitted {
		return verdict, nil
	}
	var public []resolver.Address
	for _, a := range found {
		if a.Addr.Is4() && !runtime.IsInside(a.Addr) {
			public = append(public, a)
		}
	}
	if len(public) == 0 {
		return resolver.Admitted, nil
	}
	now := time.Now()
	after := c.memory.learn(name, public, now)
	if c.policy.byName() {
		if err := n.follow(c, after, public, now); err != nil {
			return resolver.Refused, err
		}
	}
	c.memory = after
	return resolver.Admitted, nil
}

// follow brings a computer's sets from what it knew to what it knows after it
// resolved a name.
func (n *Network) follow(c *computer, after memory, found []resolver.Address, now time.Time) error {
	was, is := c.memory.judge(c.policy, now), after.judge(c.policy, now)
	add := standing{open: map[netip.Addr]time.Duration{}, known: less(is.known, was.known), blocked: less(is.blocked, was.blocked)}
	for _, a := range found {
		if left := is.open[a.Addr]; left > was.open[a.Addr] {
			add.open[a.Addr] = left
		}
	}
	known, blocked := less(was.known, is.known), less(was.blocked, is.blocked)
	if len(add.open)+len(add.known)+len(add.blocked)+len(known)+len(blocked) == 0 {
		return nil
	}
	// Older kernels keep an element's time when it is added again, so it is
	// removed first. Whether it is still there only the kernel knows.
	again := map[netip.Addr]bool{}
	for addr := range add.open {
		if was.known[addr] {
			again[addr] = true
		}
	}
	b := newBooks(c.index)
	write := func(remove map[netip.Addr]bool, rest bool) error {
		s, err := n.begin()
		if err != nil {
			return err
		}
		err = s.elements(s.conn.SetDeleteElements, b.open, keys(remove))
		if rest {
			err = errors.Join(err, s.elements(s.conn.SetDeleteElements, b.known, keys(known)),
				s.elements(s.conn.SetDeleteElements, b.blocked, keys(blocked)), s.add(b, add))
		}
		return errors.Join(err, s.commit())
	}
	err := write(again, true)
	if !errors.Is(err, unix.ENOENT) || len(again) == 0 {
		return err
	}
	for addr := range again {
		if err := write(map[netip.Addr]bool{addr: true}, false); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return write(nil, true)
}

func less(a, b map[netip.Addr]bool) map[netip.Addr]bool {
	out := map[netip.Addr]bool{}
	for addr := range a {
		if !b[addr] {
			out[addr] = true
		}
	}
	return out
}

// recall reads what the rules of an earlier life of the node say of a running
// computer. The names are not in them.
func (n *Network) recall(index int, now time.Time) (memory, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("reach nftables: %w", err)
	}
	b, m := newBooks(index), memory{}
	until := map[netip.Addr]time.Time{}
	for _, set := range b.all() {
		set.Table = n.table()
		// What GetSetElements says of a set that is not there has lost its cause.
		if _, err := c.GetSetByName(set.Table, set.Name); errors.Is(err, unix.ENOENT) {
			return nil, nil
		}
		elements, err := c.GetSetElements(set)
		if err != nil {
			return nil, fmt.Errorf("read set %s: %w", set.Name, err)
		}
		for _, e := range elements {
			addr, ok := netip.AddrFromSlice(e.Key)
			switch {
			case !ok:
			case set == b.open:
				until[addr] = now.Add(e.Expires)
			default:
				m = append(m, fact{addr: addr, until: until[addr], blocked: set == b.blocked})
			}
		}
	}
	return m, nil
}

// chains are the indexes of the computers that have something in the table.
func (n *Network) chains() (indexes []int, err error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("reach nftables: %w", err)
	}
	all, err := c.ListChainsOfTableFamily(nftables.TableFamilyINet)
	if err != nil {
		return nil, fmt.Errorf("list rules: %w", err)
	}
	for _, chain := range all {
		var index int
		if text, ok := strings.CutPrefix(chain.Name, chainPrefix); ok && chain.Table.Name == n.tableName() {
			if _, err := fmt.Sscanf(text, "%x", &index); err == nil {
				indexes = append(indexes, index)
			}
		}
	}
	return indexes, nil
}
