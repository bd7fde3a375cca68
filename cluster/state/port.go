package state

import (
	"strconv"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// MaxPorts bounds the published ports of one computer.
const MaxPorts = 64

// Port is a TCP port of a computer that can be reached from outside by HTTP,
// whether or not something listens on it just now.
type Port struct {
	Computer   ComputerID `cbor:"1,keyasint"`
	Port       uint16     `cbor:"2,keyasint"`
	Name       string     `cbor:"3,keyasint"`
	Visibility Visibility `cbor:"4,keyasint"`
	CreatedAt  time.Time  `cbor:"5,keyasint"`
	UpdatedAt  time.Time  `cbor:"6,keyasint"`
}

// Visibility is who reaches a port.
type Visibility string

const (
	PublicPort  Visibility = "public"  // everybody
	PrivatePort Visibility = "private" // who has a browser session of the computer
)

// ID names the port in its cluster: the computer and the number.
func (p Port) ID() string { return PortID(p.Computer, p.Port) }

// PortID is the id of a computer's port, published or not.
func PortID(c ComputerID, port uint16) string { return string(c) + "-" + strconv.Itoa(int(port)) }

var ports = table[Port]{
	name: "port", noun: "Port",
	id: Port.ID,
	indexes: []index[Port]{
		{"computer", func(p Port) ([]string, string, bool) {
			return []string{string(p.Computer)}, encodeText(uint64(p.Port)), true
		}},
	},
}

// PublishedPort returns a port of a computer, or false when it is not published.
func (v *View) PublishedPort(c ComputerID, port uint16) (Port, bool, error) {
	return ports.find(v.r, PortID(c, port))
}

// Ports lists a computer's published ports, by number.
func (v *View) Ports(c ComputerID) (all []Port, err error) {
	all = []Port{}
	err = ports.each(v.r, "computer", []string{string(c)}, false, func(p Port) bool { all = append(all, p); return true })
	return all, err
}

// PublishPort makes a port reachable, or changes how it is.
type PublishPort struct {
	Account AccountID `cbor:"1,keyasint"`
	Port    Port      `cbor:"2,keyasint"`
}

func (cmd PublishPort) apply(tx *Tx) error {
	c, err := tx.Computer(cmd.Account, cmd.Port.Computer)
	if err != nil {
		return err
	}
	if c.Wish == WishDeleted {
		return fault.New(fault.Conflict, "computer %s is being deleted", c.ID)
	}
	p := cmd.Port
	was, published, err := tx.PublishedPort(c.ID, p.Port)
	if err != nil {
		return err
	}
	p.CreatedAt, p.UpdatedAt = tx.now, tx.now
	if published {
		p.CreatedAt = was.CreatedAt
		tx.changed(Change{Noun: ChangedPort, ID: p.ID()})
		return ports.put(tx.w, p)
	}
	n, err := ports.count(tx.w, "computer", string(c.ID))
	if err != nil {
		return err
	}
	if n >= MaxPorts {
		return fault.New(fault.Conflict, "the computer has %d published ports, which is the limit", n)
	}
	return ports.create(tx.w, p)
}

// UnpublishPort ends a port's reach at once.
type UnpublishPort struct {
	Account  AccountID  `cbor:"1,keyasint"`
	Computer ComputerID `cbor:"2,keyasint"`
	Port     uint16     `cbor:"3,keyasint"`
}

func (cmd UnpublishPort) apply(tx *Tx) error {
	if _, err := tx.Computer(cmd.Account, cmd.Computer); err != nil {
		return err
	}
	p, published, err := tx.PublishedPort(cmd.Computer, cmd.Port)
	if err != nil || !published {
		return err
	}
	return tx.removePort(p)
}

func (tx *Tx) removePort(p Port) error {
	tx.changed(Change{Noun: ChangedPort, ID: p.ID()})
	return ports.remove(tx.w, p.ID())
}
