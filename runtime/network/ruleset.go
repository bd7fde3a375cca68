package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// ruleSet gathers changes for one transaction of the kernel: all of them are
// made, or none. To add what is there already changes nothing, so each is
// written as if nothing was there; and what is to go is added first, because
// to remove what is not there is a failure.
type ruleSet struct {
	conn  *nftables.Conn
	table *nftables.Table
	sets  uint32 // so far, for their numbers in the transaction
}

func (n *Network) begin() (*ruleSet, error) {
	c, err := nftables.New()
	if err != nil {
		return nil, fmt.Errorf("reach nftables: %w", err)
	}
	return &ruleSet{conn: c, table: n.table()}, nil
}

func (n *Network) table() *nftables.Table {
	return &nftables.Table{Family: nftables.TableFamilyINet, Name: n.tableName()}
}

func (s *ruleSet) commit() error {
	if err := s.conn.Flush(); err != nil {
		return fmt.Errorf("write rules: %w", err)
	}
	return nil
}

// chain makes a chain that is there and empty.
func (s *ruleSet) chain(c nftables.Chain) *nftables.Chain {
	c.Table = s.table
	s.conn.AddChain(&c)
	s.conn.FlushChain(&c)
	return &c
}

func (s *ruleSet) rule(chain *nftables.Chain, parts ...[]expr.Any) {
	r := &nftables.Rule{Table: s.table, Chain: chain}
	for _, p := range parts {
		r.Exprs = append(r.Exprs, p...)
	}
	s.conn.AddRule(r)
}

// refuse answers what matches at once, so that nobody in a computer waits for
// a timeout. Connections are reset, which also ends one that is open, and which
// the kernel does as often as it must; of the other answer it gives few.
func (s *ruleSet) refuse(chain *nftables.Chain, parts ...[]expr.Any) {
	tcp := append(slices.Clone(parts), protocol(unix.IPPROTO_TCP), []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}})
	s.rule(chain, tcp...)
	s.rule(chain, append(slices.Clone(parts),
		[]expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}})...)
}

// set makes a set that is there, with what it held.
func (s *ruleSet) set(set *nftables.Set, elements ...nftables.SetElement) error {
	// Numbers of our own: the library's are shared by all of the process,
	// without a lock.
	s.sets++
	set.Table, set.ID = s.table, s.sets
	if set.Anonymous {
		set.Name = "__set%d"
	}
	if err := s.conn.AddSet(set, elements); err != nil {
		return fmt.Errorf("write set %s: %w", set.Name, err)
	}
	return nil
}

// computers is the map from a link's name to what its computer may do.
func (s *ruleSet) computers() (*nftables.Set, error) {
	m := &nftables.Set{Name: computersMap, IsMap: true, KeyType: nftables.TypeIFName, DataType: nftables.TypeVerdict}
	return m, s.set(m)
}

// blocks makes a set of the addresses in blocks, which lasts as long as the
// rules that use it.
func (s *ruleSet) blocks(of []netip.Prefix) (*nftables.Set, error) {
	var elements []nftables.SetElement
	for _, run := range spans(of) {
		elements = append(elements, nftables.SetElement{Key: run.first.AsSlice()})
		if next := run.last.Next(); next.IsValid() {
			elements = append(elements, nftables.SetElement{Key: next.AsSlice(), IntervalEnd: true})
		}
	}
	set := &nftables.Set{Anonymous: true, Constant: true, Interval: true, KeyType: nftables.TypeIPAddr}
	return set, s.set(set, elements...)
}

// ports makes a set of port numbers.
func (s *ruleSet) ports(numbers ...uint16) (*nftables.Set, error) {
	var elements []nftables.SetElement
	for _, n := range numbers {
		elements = append(elements, nftables.SetElement{Key: binary.BigEndian.AppendUint16(nil, n)})
	}
	set := &nftables.Set{Anonymous: true, Constant: true, KeyType: nftables.TypeInetService}
	return set, s.set(set, elements...)
}

func hooked(name string, hook *nftables.ChainHook, kind nftables.ChainType, at *nftables.ChainPriority) nftables.Chain {
	return nftables.Chain{Name: name, Hooknum: hook, Type: kind, Priority: at}
}
