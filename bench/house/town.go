package house

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// A town is the machine's nodes kept apart: each in a network namespace, on a
// file system and by a clock of its own, all on one bridge, where this process is
// too.
type town struct {
	name  string // of the bridge, and what all names begin with
	base  netip.Addr
	lots  []*lot
	links *netlink.Bridge
}

// lot is one node's place.
type lot struct {
	name string // of its namespace
	addr netip.Addr
	disk string // where its file system is mounted

	clock clock
}

// ThisMachine in a Shape's Vendor is where nodes of a town reach this process.
const ThisMachine = "{machine}"

const (
	townBits = 24
	// machineHost is this process's place on the bridge.
	machineHost = 254
	// lotBytes is a node's whole disk: sparse, so that it costs what is written.
	lotBytes = 8 << 30
	// busyPatience bounds the wait for what still holds a disk.
	busyPatience = 20 * time.Second
	busyPoll     = 50 * time.Millisecond
)

// townNets are where towns are looked for an unused network: of those for
// benchmarks (RFC 2544), where nobody routes.
var townNets = []string{"198.18.203.0", "198.18.204.0", "198.18.205.0"}

// openTown makes the bridge.
func openTown() (*town, error) {
	t := &town{name: "bothyt" + strconv.Itoa(os.Getpid()%100_000)}
	routes, err := netlink.RouteList(nil, netlink.FAMILY_V4)
	if err != nil {
		return nil, fmt.Errorf("open a town: %w", err)
	}
	for _, text := range townNets {
		base := netip.MustParseAddr(text)
		used := false
		for _, r := range routes {
			used = used || r.Dst != nil && r.Dst.IP.String() == text
		}
		if !used {
			t.base = base
			break
		}
	}
	if !t.base.IsValid() {
		return nil, errors.New("open a town: all networks for it are in use")
	}
	t.links = &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: t.name}}
	if err := netlink.LinkAdd(t.links); err != nil {
		return nil, fmt.Errorf("open a town: %w", err)
	}
	if err := raise(t.links, t.at(machineHost)); err != nil {
		return nil, errors.Join(fmt.Errorf("open a town: %w", err), netlink.LinkDel(t.links))
	}
	return t, nil
}

func (t *town) at(host byte) netip.Addr {
	a := t.base.As4()
	a[3] = host
	return netip.AddrFrom4(a)
}

func raise(l netlink.Link, at netip.Addr) error {
	addr, err := netlink.ParseAddr(netip.PrefixFrom(at, townBits).String())
	if err == nil {
		err = netlink.AddrAdd(l, addr)
	}
	if err == nil {
		err = netlink.LinkSetUp(l)
	}
	return err
}

// settle makes a place for one more node in dir.
func (t *town) settle(dir string) (l *lot, err error) {
	i := len(t.lots) + 1
	l = &lot{name: fmt.Sprintf("%sn%d", t.name, i), addr: t.at(byte(i)), disk: filepath.Join(dir, fmt.Sprintf("disk%d", i))}
	t.lots = append(t.lots, l) // what was made of it is taken away with the town
	if err := l.mount(); err != nil {
		return nil, fmt.Errorf("make a disk: %w", err)
	}
	if err := l.connect(t, i); err != nil {
		return nil, fmt.Errorf("make a network namespace: %w", err)
	}
	return l, nil
}

func (l *lot) mount() error {
	file := l.image()
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(lotBytes), f.Close(), os.MkdirAll(l.disk, 0o711)); err != nil {
		return err
	}
	for _, argv := range [][]string{{"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,nodiscard", file}, {"mount", "-o", "loop", file, l.disk}} {
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w: %s", argv[0], err, out)
		}
	}
	return os.Chmod(l.disk, 0o711) // computers' users walk through it
}

// unmount waits for those who still hold the disk: processes that were killed, and
// loop devices of files on it, end in their own time.
func (l *lot) unmount() error {
	for end := time.Now().Add(busyPatience); ; time.Sleep(busyPoll) {
		err := syscall.Unmount(l.disk, 0)
		switch {
		case err == nil, errors.Is(err, syscall.EINVAL), errors.Is(err, syscall.ENOENT):
			return nil
		case !errors.Is(err, syscall.EBUSY) || time.Now().After(end):
			return fmt.Errorf("unmount %s: %w", l.disk, err)
		}
	}
}

// renew puts an empty disk in the place of the one there was.
func (l *lot) renew() error {
	err := l.unmount()
	if err == nil {
		err = os.Remove(l.image())
	}
	if err == nil {
		err = l.mount()
	}
	return err
}

// image is the file that the disk is.
func (l *lot) image() string { return l.disk + ".img" }

// connect makes the namespace and a link from it to the bridge.
func (l *lot) connect(t *town, i int) error {
	outside, inside := fmt.Sprintf("%sv%d", t.name, i), "eth0"
	if err := apart(func() error { // NewNamed leaves the thread in it
		ns, err := netns.NewNamed(l.name)
		if err == nil {
			err = ns.Close()
		}
		return err
	}); err != nil {
		return err
	}
	ns, err := netns.GetFromName(l.name)
	if err != nil {
		return err
	}
	defer ns.Close()
	pair := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: outside, MasterIndex: t.links.Attrs().Index}, PeerName: inside, PeerNamespace: netlink.NsFd(int(ns))}
	if err := netlink.LinkAdd(pair); err != nil {
		return err
	}
	if err := netlink.LinkSetUp(pair); err != nil {
		return err
	}
	return l.within(func() error {
		for _, name := range []string{"lo", inside} {
			link, err := netlink.LinkByName(name)
			if err != nil {
				return err
			}
			if name == "lo" {
				err = netlink.LinkSetUp(link)
			} else {
				err = raise(link, l.addr)
			}
			if err != nil {
				return err
			}
		}
		return netlink.RouteAdd(&netlink.Route{Gw: t.at(machineHost).AsSlice()})
	})
}

// apart runs f on a thread that ends with it.
func apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread goes with its namespace
		done <- f()
	}()
	return <-done
}

// within runs f in the namespace.
func (l *lot) within(f func() error) error {
	return apart(func() error {
		ns, err := netns.GetFromName(l.name)
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := netns.Set(ns); err != nil {
			return err
		}
		return f()
	})
}

// deaf is the table in a namespace that drops what comes from some addresses.
const deaf = "bothy-bench-deaf"

// hear has a node hear nothing from the addresses, and everything from others.
func (l *lot) hear(nothingFrom []netip.Addr) error {
	return l.within(func() error {
		c, err := nftables.New()
		if err != nil {
			return err
		}
		t := c.AddTable(&nftables.Table{Family: nftables.TableFamilyIPv4, Name: deaf})
		c.FlushTable(t)
		chain := c.AddChain(&nftables.Chain{Name: "input", Table: t, Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityRaw})
		for _, from := range nothingFrom {
			const sourceOffset = 12 // in an IPv4 header
			c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: []expr.Any{
				&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: sourceOffset, Len: 4},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: from.AsSlice()},
				&expr.Verdict{Kind: expr.VerdictDrop},
			}})
		}
		return c.Flush()
	})
}

// close takes the town away. Its nodes must have been cleared.
func (t *town) close() error {
	var errs []error
	for _, l := range t.lots {
		if err := netns.DeleteNamed(l.name); err != nil && !errors.Is(err, os.ErrNotExist) {
			errs = append(errs, fmt.Errorf("remove the namespace %s: %w", l.name, err))
		}
		errs = append(errs, l.unmount())
	}
	return errors.Join(append(errs, netlink.LinkDel(t.links))...)
}
