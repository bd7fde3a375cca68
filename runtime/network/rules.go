package network

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// never are the ranges that lie on machines, between them, or nowhere. The
// networks that this machine is part of are added to them.
var never = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.0.0.0/24"), netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("224.0.0.0/3"),
}

// applyRules writes the node's whole rule set in one transaction. It is written
// each time, so a machine that changed its networks is followed.
//
//	input        from a computer: refused
//	forward      from a computer ─▶ out;  to a computer: replies only;
//	             from outside to elsewhere: refused, unless the machine is a router
//	out          replies, name servers; not to computers, not to never; else yes
//	postrouting  from a computer to outside: as the machine
func (n *Network) applyRules() error {
	connected, err := machineNetworks()
	if err != nil {
		return err
	}
	uplinks, err := openUplinks()
	if err != nil {
		return err
	}
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("reach nftables: %w", err)
	}
	s := &ruleSet{conn: c, table: c.AddTable(&nftables.Table{Family: nftables.TableFamilyINet, Name: n.tableName()})}
	c.FlushTable(s.table)
	ours, any := linkPrefix+n.tag+"-", linkPrefix
	out := s.chain(nftables.Chain{Name: "out"})
	input := s.chain(hooked("input", nftables.ChainHookInput, nftables.ChainTypeFilter, nftables.ChainPriorityFilter))
	forward := s.chain(hooked("forward", nftables.ChainHookForward, nftables.ChainTypeFilter, nftables.ChainPriorityFilter))
	post := s.chain(hooked("postrouting", nftables.ChainHookPostrouting, nftables.ChainTypeNAT, nftables.ChainPriorityNATSource))

	s.rule(input, from(ours), refuse())
	s.rule(forward, from(ours), jump(out))
	s.rule(forward, to(ours), isReply(), verdict(expr.VerdictAccept))
	s.rule(forward, to(ours), verdict(expr.VerdictDrop))
	for _, link := range uplinks {
		s.rule(forward, fromLink(link), notTo(any), verdict(expr.VerdictDrop))
	}
	s.rule(out, isReply(), verdict(expr.VerdictAccept))
	s.rule(out, to(any), refuse())
	for _, server := range NameServers() {
		for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
			s.rule(out, destination(netip.PrefixFrom(server, 32)), port(proto, 53), verdict(expr.VerdictAccept))
		}
	}
	s.rule(out, isIPv6(), refuse())
	for _, denied := range append(append(connected, never...), n.Deny...) {
		if denied.Addr().Is4() {
			s.rule(out, destination(denied), refuse())
		}
	}
	s.rule(out, verdict(expr.VerdictAccept))
	s.rule(post, source(pool), notTo(any), []expr.Any{&expr.Masq{}})
	if err := c.Flush(); err != nil {
		return fmt.Errorf("write rules: %w", err)
	}
	return nil
}

// dropRules removes the node's rule set, and with the last one on the machine
// the uplinks' leave to forward.
func (n *Network) dropRules() error {
	c, err := nftables.New()
	if err != nil {
		return fmt.Errorf("reach nftables: %w", err)
	}
	tables, err := c.ListTablesOfFamily(nftables.TableFamilyINet)
	if err != nil {
		return fmt.Errorf("list rules: %w", err)
	}
	others, mine := false, false
	for _, t := range tables {
		switch {
		case t.Name == n.tableName():
			mine = true
			c.DelTable(t)
		case strings.HasPrefix(t.Name, tablePrefix):
			others = true
		}
	}
	if !mine {
		return nil
	}
	if !others {
		if err := closeUplinks(); err != nil {
			return err
		}
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("remove rules: %w", err)
	}
	return nil
}

// openUplinks lets replies from outside be forwarded, and names the links for
// which that was not so before. A machine that is a router already is left as
// it is; one that is not must not become one for anybody else.
func openUplinks() ([]string, error) {
	names, err := uplinks()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		if err := sysctl("ipv4/conf/"+name+"/forwarding", "1"); err != nil {
			return nil, err
		}
	}
	return names, nil
}

func closeUplinks() error {
	names, err := uplinks()
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := sysctl("ipv4/conf/"+name+"/forwarding", "0"); err != nil {
			return err
		}
	}
	return nil
}

// uplinks are the links that lead to a gateway, none where the machine is a
// router by its own settings.
func uplinks() ([]string, error) {
	router, err := os.ReadFile("/proc/sys/net/ipv4/ip_forward")
	if err != nil {
		return nil, fmt.Errorf("read forwarding: %w", err)
	}
	if strings.TrimSpace(string(router)) == "1" {
		return nil, nil
	}
	routes, err := wholeList(func() ([]netlink.Route, error) { return netlink.RouteList(nil, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	var names []string
	for _, r := range routes {
		if r.Gw == nil {
			continue
		}
		link, err := netlink.LinkByIndex(r.LinkIndex)
		if err != nil {
			return nil, fmt.Errorf("find uplink: %w", err)
		}
		if name := link.Attrs().Name; !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// machineNetworks are the IPv4 networks that the machine is part of.
func machineNetworks() ([]netip.Prefix, error) {
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	var out []netip.Prefix
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err == nil && p.Addr().Is4() && !pool.Contains(p.Addr()) {
			out = append(out, p.Masked())
		}
	}
	return out, nil
}

// ruleSet gathers rules for one flush.
type ruleSet struct {
	conn  *nftables.Conn
	table *nftables.Table
}

func (s *ruleSet) chain(c nftables.Chain) *nftables.Chain {
	c.Table = s.table
	return s.conn.AddChain(&c)
}

func (s *ruleSet) rule(chain *nftables.Chain, parts ...[]expr.Any) {
	r := &nftables.Rule{Table: s.table, Chain: chain}
	for _, p := range parts {
		r.Exprs = append(r.Exprs, p...)
	}
	s.conn.AddRule(r)
}

func hooked(name string, hook *nftables.ChainHook, kind nftables.ChainType, at *nftables.ChainPriority) nftables.Chain {
	return nftables.Chain{Name: name, Hooknum: hook, Type: kind, Priority: at}
}

// nameIs compares a link's name; without the final zero byte it compares the
// beginning.
func nameIs(key expr.MetaKey, op expr.CmpOp, name []byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: key, Register: 1}, &expr.Cmp{Op: op, Register: 1, Data: name}}
}

func from(prefix string) []expr.Any {
	return nameIs(expr.MetaKeyIIFNAME, expr.CmpOpEq, []byte(prefix))
}

func fromLink(name string) []expr.Any {
	return nameIs(expr.MetaKeyIIFNAME, expr.CmpOpEq, append([]byte(name), 0))
}

func to(prefix string) []expr.Any {
	return nameIs(expr.MetaKeyOIFNAME, expr.CmpOpEq, []byte(prefix))
}

func notTo(prefix string) []expr.Any {
	return nameIs(expr.MetaKeyOIFNAME, expr.CmpOpNeq, []byte(prefix))
}

func family(proto byte) []expr.Any {
	return []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}}}
}

func isIPv6() []expr.Any { return family(unix.NFPROTO_IPV6) }

// Offsets in an IPv4 header.
const (
	sourceOffset      = 12
	destinationOffset = 16
)

func address(offset uint32, p netip.Prefix) []expr.Any {
	base := p.Masked().Addr().As4()
	mask := binary.BigEndian.AppendUint32(nil, uint32(0xffffffff)<<(32-p.Bits()))
	return append(family(unix.NFPROTO_IPV4),
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: offset, Len: 4},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: base[:]})
}

func source(p netip.Prefix) []expr.Any      { return address(sourceOffset, p) }
func destination(p netip.Prefix) []expr.Any { return address(destinationOffset, p) }

func port(proto byte, number uint16) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{proto}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(number)},
	}
}

// isReply matches what belongs to a connection that was let through.
func isReply() []expr.Any {
	bits := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: 1},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: bits, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
	}
}

func verdict(kind expr.VerdictKind) []expr.Any { return []expr.Any{&expr.Verdict{Kind: kind}} }

func jump(chain *nftables.Chain) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: expr.VerdictJump, Chain: chain.Name}}
}

// refuse answers at once, so that nobody in a computer waits for a timeout.
func refuse() []expr.Any {
	return []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}}
}
