package network

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/bothy-computer/bothy/runtime"
)

var loopback = netip.MustParsePrefix("127.0.0.1/32")

const (
	dnsPort    = 53
	dnsTLSPort = 853
)

// queriesPerSecond and queryBurst bound the packets of name queries of one
// computer before they reach the resolver, which has one socket for all.
const (
	queriesPerSecond = 400
	queryBurst       = 200
)

// Names in the node's table.
const (
	cutChain     = "cut"
	computersMap = "computers"
	queriesSet   = "queries"
)

// ground is what the rules that all computers share are made from.
type ground struct {
	connected, denied []netip.Prefix
	uplinks           []string
	port              uint16 // of the resolver
}

func (n *Network) survey() (g ground, err error) {
	g = ground{denied: n.refused, port: n.resolver.Port}
	if g.connected, err = machineNetworks(); err != nil {
		return g, err
	}
	g.uplinks, err = openUplinks()
	return g, err
}

// writeBase writes what is the same for all computers of the node.
//
//	prerouting   a name query of a computer ─▶ the resolver
//	input        from a computer: name queries, so many a second; else refused
//	forward      from a computer ─▶ out;  to a computer: replies only;
//	             from outside to elsewhere: refused, unless the machine is a router
//	out          not to computers, not inside; else as its own chain says
//	cut          the end of what a computer may not do
//	postrouting  from a computer to outside: as the machine
//
// Every packet that a computer sends passes its chain, of old connections too:
// a change of the rules is a change of what goes on.
func (n *Network) writeBase(s *ruleSet, g ground) error {
	ours, any := linkPrefix+n.tag+"-", linkPrefix
	out, cut := s.chain(nftables.Chain{Name: "out"}), s.chain(nftables.Chain{Name: cutChain})
	pre := s.chain(hooked("prerouting", nftables.ChainHookPrerouting, nftables.ChainTypeNAT, nftables.ChainPriorityNATDest))
	input := s.chain(hooked("input", nftables.ChainHookInput, nftables.ChainTypeFilter, nftables.ChainPriorityFilter))
	forward := s.chain(hooked("forward", nftables.ChainHookForward, nftables.ChainTypeFilter, nftables.ChainPriorityFilter))
	post := s.chain(hooked("postrouting", nftables.ChainHookPostrouting, nftables.ChainTypeNAT, nftables.ChainPriorityNATSource))
	computers, err := s.computers()
	if err != nil {
		return err
	}
	denied, err := s.blocks(slices.Concat(g.connected, runtime.InsideRanges(), g.denied))
	if err != nil {
		return err
	}
	if err := s.writeQueries(pre, input, ours, g.port); err != nil {
		return err
	}
	s.refuse(input, from(ours))
	s.rule(forward, from(ours), jump(out))
	// What comes back by TCP ends with the first answer to it.
	s.rule(forward, to(ours), isReply(), protocol(unix.IPPROTO_TCP), verdict(expr.VerdictAccept))
	s.rule(forward, to(ours), isReply(), linkName(expr.MetaKeyOIFNAME), chosenBy(computers))
	s.rule(forward, to(ours), verdict(expr.VerdictDrop))
	for _, link := range g.uplinks {
		s.rule(forward, fromLink(link), notTo(any), verdict(expr.VerdictDrop))
	}
	s.rule(out, isForeign(), verdict(expr.VerdictDrop))
	s.rule(out, isStray(), verdict(expr.VerdictDrop))
	s.refuse(out, to(any))
	s.refuse(out, isIPv6())
	s.rule(out, packetTo(), in(denied), jump(cut))
	s.rule(out, linkName(expr.MetaKeyIIFNAME), chosenBy(computers))
	s.refuse(out)
	s.rule(cut, to(ours), verdict(expr.VerdictDrop))
	s.refuse(cut)
	s.rule(post, source(pool), notTo(any), []expr.Any{&expr.Masq{}})
	return nil
}

// writeQueries leads name queries to the resolver, whichever of the machine's
// ends a computer takes for its name server.
func (s *ruleSet) writeQueries(pre, input *nftables.Chain, ours string, resolver uint16) error {
	meter := &nftables.Set{Name: queriesSet, KeyType: nftables.TypeIFIndex, Dynamic: true, HasTimeout: true, Timeout: time.Minute, Size: MaxIndex}
	if err := s.set(meter); err != nil {
		return err
	}
	s.rule(input, from(ours), isForeign(), verdict(expr.VerdictDrop))
	for _, proto := range []byte{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		s.rule(pre, from(ours), destination(pool), port(proto, dnsPort), toLoopback(resolver))
		s.rule(input, from(ours), destination(loopback), port(proto, resolver), over(meter, queriesPerSecond, queryBurst), verdict(expr.VerdictDrop))
		s.rule(input, from(ours), destination(loopback), port(proto, resolver), verdict(expr.VerdictAccept))
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
