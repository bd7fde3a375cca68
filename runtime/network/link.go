package network

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// insideName is what a computer calls its link.
const insideName = "eth0"

// isLinked says whether a process has its link.
func (n *Network) isLinked(index, pid int) bool {
	_, err := netlink.LinkByName(n.linkName(index))
	return err == nil && inside(pid)
}

// makeLink makes the pair and sets up both ends; of one that is there only
// what an older node may not have set is set.
func (n *Network) makeLink(index, pid int, there bool) error {
	name := n.linkName(index)
	if there {
		return tune(name)
	}
	if _, err := deleteLink(name); err != nil { // half-made, or of an earlier life
		return err
	}
	pair := &netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: name}, PeerName: insideName, PeerNamespace: netlink.NsPid(pid),
	}
	if err := netlink.LinkAdd(pair); err != nil {
		return fmt.Errorf("make link: %w", err)
	}
	err := n.setUp(name, index, pid)
	if err != nil {
		_, undo := deleteLink(name)
		return errors.Join(err, undo)
	}
	return nil
}

func (n *Network) setUp(name string, index, pid int) error {
	machine, computer := addresses(index)
	if err := tune(name); err != nil {
		return err
	}
	if err := raise(name, machine); err != nil {
		return err
	}
	err := inNamespace(pid, func() error {
		if err := raise(insideName, computer); err != nil {
			return err
		}
		return netlink.RouteAdd(&netlink.Route{Gw: machine.Addr().AsSlice()})
	})
	if err != nil {
		return err
	}
	return awaitUp(name)
}

const (
	// upTime bounds the wait for a new link, and upLook is how often it is
	// looked at: a subscription would hear of every link of the machine.
	upTime = time.Second
	upLook = 500 * time.Microsecond
)

// awaitUp waits until a link carries packets, a few milliseconds. Until then
// they are lost, and whoever sends the first waits a second to try again. A
// link that takes longer is no failure.
func awaitUp(name string) error {
	for deadline := time.Now().Add(upTime); time.Now().Before(deadline); time.Sleep(upLook) {
		link, err := netlink.LinkByName(name)
		if err != nil {
			return fmt.Errorf("find link %s: %w", name, err)
		}
		if link.Attrs().OperState == netlink.OperUp {
			break
		}
	}
	return nil
}

// tune is called before the link is up: nothing from it is ever taken with a
// foreign source, replies from outside may pass to it, and name queries may be
// led to the machine's loopback, where else nothing from it gets.
func tune(name string) error {
	for file, value := range map[string]string{
		"ipv4/conf/" + name + "/rp_filter":      "1",
		"ipv4/conf/" + name + "/forwarding":     "1",
		"ipv4/conf/" + name + "/route_localnet": "1",
		"ipv6/conf/" + name + "/disable_ipv6":   "1",
	} {
		if err := sysctl(file, value); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// raise gives a link of the present namespace its address and turns it on.
func raise(name string, at netip.Prefix) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find link %s: %w", name, err)
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: at.Addr().AsSlice(), Mask: net.CIDRMask(at.Bits(), 32)}}
	if err := netlink.AddrReplace(link, address); err != nil {
		return fmt.Errorf("set address of %s: %w", name, err)
	}
	if err := netlink.LinkSetUp(link); err != nil {
		return fmt.Errorf("turn on %s: %w", name, err)
	}
	return nil
}

// inside says whether the process's namespace has a link of ours.
func inside(pid int) bool {
	err := inNamespace(pid, func() error {
		_, err := netlink.LinkByName(insideName)
		return err
	})
	return err == nil
}

// deleteLink removes a link and with it the end inside; false when there was
// none.
func deleteLink(name string) (bool, error) {
	link, err := netlink.LinkByName(name)
	var absent netlink.LinkNotFoundError
	if errors.As(err, &absent) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("find link %s: %w", name, err)
	}
	// The kernel takes a dead namespace apart in its own time, and with it the
	// link: that it was faster is no failure.
	if err := netlink.LinkDel(link); err != nil && !errors.Is(err, unix.ENODEV) {
		return false, fmt.Errorf("delete link %s: %w", name, err)
	}
	return true, nil
}

// linkNames lists the machine's links with a prefix.
func linkNames(prefix string) ([]string, error) {
	links, err := wholeList(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links: %w", err)
	}
	var names []string
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, prefix) {
			names = append(names, l.Attrs().Name)
		}
	}
	return names, nil
}

// maxListTries bounds how often a list is asked for that changes meanwhile.
const maxListTries = 20

// wholeList asks again while the kernel says that what it listed changed under
// its hands, as it does on a machine where computers come and go.
func wholeList[T any](list func() ([]T, error)) (all []T, err error) {
	for range maxListTries {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return all, err
}

// SentBytes is what a computer has sent through its present link; 0 without
// one.
func (n *Network) SentBytes(index int) (int64, error) {
	link, err := netlink.LinkByName(n.linkName(index))
	var absent netlink.LinkNotFoundError
	if errors.As(err, &absent) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read link counter: %w", err)
	}
	// What the machine's end received is what the computer sent.
	return int64(link.Attrs().Statistics.RxBytes), nil
}

func sysctl(file, value string) error {
	if err := os.WriteFile("/proc/sys/net/"+file, []byte(value), 0o644); err != nil {
		return fmt.Errorf("set %s: %w", file, err)
	}
	return nil
}
