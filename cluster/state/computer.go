package state

import (
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Computer is a durable machine. It exists while stopped; one node owns it at
// a time, in an epoch that each change of owner raises.
type Computer struct {
	ID          ComputerID    `cbor:"1,keyasint"`
	Account     AccountID     `cbor:"2,keyasint"`
	Environment EnvironmentID `cbor:"3,keyasint"`
	Name        string        `cbor:"4,keyasint"`
	Node        NodeID        `cbor:"5,keyasint"` // owner; "" before the first claim
	Epoch       Epoch         `cbor:"6,keyasint"`
	Wish        Wish          `cbor:"7,keyasint"`
	Phase       Phase         `cbor:"8,keyasint"`
	Error       string        `cbor:"9,keyasint"` // why it is failed
	Image       string        `cbor:"10,keyasint"`
	MemoryBytes int64         `cbor:"11,keyasint"`
	MilliCPU    int64         `cbor:"12,keyasint"`
	DiskBytes   int64         `cbor:"13,keyasint"`
	Egress      bool          `cbor:"14,keyasint"`
	IdleStop    time.Duration `cbor:"15,keyasint"` // 0 is never
	// DataNode holds the newest layer and workspace; "" while there are none.
	DataNode  NodeID    `cbor:"16,keyasint"`
	Live      int       `cbor:"17,keyasint"` // runs in progress on it
	Metered   Metered   `cbor:"18,keyasint"`
	StartedAt time.Time `cbor:"19,keyasint"`
	CreatedAt time.Time `cbor:"20,keyasint"`
	UpdatedAt time.Time `cbor:"21,keyasint"`
	// Reservation is what is held for its next minutes of running, or "".
	Reservation ReservationID `cbor:"22,keyasint"`
	// IdleStopped is set when it stopped because nobody used it: a request
	// wakes it, where one stopped by its user stays stopped.
	IdleStopped bool `cbor:"23,keyasint"`
	// Counters are the machine's own at the last tick, on the node CountersOn:
	// the next tick adds what they grew by since.
	Counters   Metered `cbor:"24,keyasint"`
	CountersOn NodeID  `cbor:"25,keyasint"`
	// Origin is the door it was made at, which alone deletes it.
	Origin Origin `cbor:"26,keyasint"`
	// Handle is its name for people, of its account alone; "" for none.
	Handle string `cbor:"27,keyasint"`
	// Label is its name in URLs, of the whole cluster: the handle if nobody
	// else had it.
	Label string `cbor:"28,keyasint"`
	// Operations counts the open operations on it. While there are any it
	// needs an owner.
	Operations int `cbor:"29,keyasint"`
	// Resize is the size that its owner is to give it; nil is none.
	Resize *Size `cbor:"30,keyasint"`
	// Source is the snapshot it was made from; "" is its image alone.
	Source SnapshotID `cbor:"31,keyasint"`
	// AuthorizedKeys are SSH public keys that may log in besides the account's.
	AuthorizedKeys []string  `cbor:"32,keyasint"`
	Icon           string    `cbor:"33,keyasint"`
	DeletedAt      time.Time `cbor:"34,keyasint"`
	// RunFrom is up to when its running time is counted; zero while it is down.
	RunFrom time.Time `cbor:"35,keyasint"`
	// StoredBytes is what its disk holds, as last ticked, and TickedAt when.
	StoredBytes int64     `cbor:"36,keyasint"`
	TickedAt    time.Time `cbor:"37,keyasint"`
	// Instructions are its user's words to agents that work on it.
	Instructions string `cbor:"38,keyasint"`
	// Network is what it may connect to where it has egress.
	Network NetworkRules `cbor:"39,keyasint,omitzero"`
	// RunImage is the image it runs now, as its owner said; "" while it is down.
	// Image may be a newer one, which its next start takes.
	RunImage string `cbor:"40,keyasint,omitempty"`
	// Online and Offline count the runs in progress whose message asked that it
	// may, or may not, connect anywhere, whatever Egress says.
	Online  int `cbor:"41,keyasint,omitempty"`
	Offline int `cbor:"42,keyasint,omitempty"`
	// Saved is its newest save, and SaveError why the last try to make one failed.
	Saved     Save   `cbor:"43,keyasint,omitzero"`
	SaveError string `cbor:"44,keyasint,omitempty"`
	// Restored is of the last time that its disk was made from one.
	Restored Restored `cbor:"45,keyasint,omitzero"`
	// Sent is its newest disk where its owner has it in its inbox, and not made of it yet.
	Sent Sent `cbor:"46,keyasint,omitzero"`
	// SendError is why the last node that it was sent to gave it back, at ReturnedAt.
	SendError  string    `cbor:"47,keyasint,omitempty"`
	ReturnedAt time.Time `cbor:"48,keyasint,omitzero"`
}

// Connects reports whether the computer may connect anywhere just now: of the
// runs that ask for something themselves, the strictest decides.
func (c Computer) Connects() bool { return c.Offline == 0 && (c.Egress || c.Online > 0) }

// count takes a run in progress in, or out again.
func (c *Computer) count(r Run, by int) {
	c.Live = max(0, c.Live+by)
	switch {
	case !r.Config.OwnInternet:
	case r.Config.NoInternet:
		c.Offline = max(0, c.Offline+by)
	default:
		c.Online = max(0, c.Online+by)
	}
}

// idle says that no run is in progress any more.
func (c *Computer) idle() { c.Live, c.Online, c.Offline = 0, 0, 0 }

// Outdated reports whether a newer image waits for its next start.
func (c Computer) Outdated() bool { return c.Phase.Up() && c.RunImage != "" && c.RunImage != c.Image }

// Bounds of the network rules of one computer, which its record carries.
const (
	MaxNetworkRules = 256      // in each list
	MaxNetworkBytes = 16 << 10 // of all rules together
)

// NetworkRules are CIDRs, addresses, domains and *.domains, in the one form
// that whoever proposes them has checked. Deny wins; a non-empty Allow means
// nothing else.
type NetworkRules struct {
	Allow []string `cbor:"1,keyasint,omitempty"`
	Deny  []string `cbor:"2,keyasint,omitempty"`
}

// Equal reports whether both are the same rules in the same order.
func (r NetworkRules) Equal(o NetworkRules) bool {
	return slices.Equal(r.Allow, o.Allow) && slices.Equal(r.Deny, o.Deny)
}

// check holds what a record may carry, whoever proposed it.
func (r NetworkRules) check() error {
	bytes := 0
	for _, list := range [][]string{r.Allow, r.Deny} {
		if len(list) > MaxNetworkRules {
			return fault.New(fault.Invalid, "%d network rules in a list; the limit is %d", len(list), MaxNetworkRules).WithField("networkAccess")
		}
		for _, rule := range list {
			bytes += len(rule)
		}
	}
	if bytes > MaxNetworkBytes {
		return fault.New(fault.Invalid, "network rules of %d bytes; the limit is %d", bytes, MaxNetworkBytes).WithField("networkAccess")
	}
	return nil
}

// Origin is a door at which computers are made.
type Origin string

const (
	OriginEnvironment   Origin = "environment" // Computer Agents; also "" of old records
	OriginAgentComputer Origin = "agentcomputer"
	OriginRebyte        Origin = "rebyte"
	OriginTask          Origin = "task" // made for a task, and deleted with it
)

// Size is what a computer may use.
type Size struct {
	MemoryBytes int64 `cbor:"1,keyasint"`
	MilliCPU    int64 `cbor:"2,keyasint"`
	DiskBytes   int64 `cbor:"3,keyasint"`
}

// Size is what the computer may use now.
func (c Computer) Size() Size {
	return Size{MemoryBytes: c.MemoryBytes, MilliCPU: c.MilliCPU, DiskBytes: c.DiskBytes}
}

// sized is the computer with another size.
func (c Computer) sized(s Size) Computer {
	c.MemoryBytes, c.MilliCPU, c.DiskBytes = s.MemoryBytes, s.MilliCPU, s.DiskBytes
	return c
}

// Wish is what a computer's user wants of it.
type Wish string

const (
	WishStopped Wish = "stopped"
	WishRunning Wish = "running"
	WishDeleted Wish = "deleted"
)

// Metered is what a computer has used since it was made, as last ticked.
type Metered struct {
	CPUMillis     int64    `cbor:"1,keyasint"`
	MemorySeconds int64    `cbor:"2,keyasint"` // MiB-seconds
	DiskSeconds   int64    `cbor:"3,keyasint"` // MiB-seconds
	EgressBytes   int64    `cbor:"4,keyasint"`
	Cost          MicroUSD `cbor:"5,keyasint"` // charged so far
	RunMillis     int64    `cbor:"6,keyasint,omitempty"`
	ColdSeconds   int64    `cbor:"7,keyasint,omitempty"` // DiskSeconds while it was stopped, not part of those
}

var computers = table[Computer]{
	name: "computer", noun: "Computer",
	id: func(c Computer) string { return string(c.ID) },
	indexes: []index[Computer]{
		{"account", func(c Computer) ([]string, string, bool) {
			return []string{string(c.Account)}, stampText(c.CreatedAt), c.Phase != Deleted
		}},
		{"node", func(c Computer) ([]string, string, bool) {
			return []string{string(c.Node)}, stampText(c.CreatedAt), c.Node != "" && c.Phase != Deleted
		}},
		{"live", func(c Computer) ([]string, string, bool) {
			return []string{string(c.Node)}, stampText(c.CreatedAt), c.Wanted() && c.Phase != Deleted
		}},
		{"phase", func(c Computer) ([]string, string, bool) {
			return []string{string(c.Phase)}, stampText(c.CreatedAt), true
		}},
		{"origin", func(c Computer) ([]string, string, bool) {
			return []string{string(c.Account), string(c.Origin)}, stampText(c.CreatedAt), c.Origin != "" && c.Phase != Deleted
		}},
		{"handle", func(c Computer) ([]string, string, bool) {
			return []string{string(c.Account), c.Handle}, "", c.Handle != "" && c.Phase != Deleted
		}},
		{"label", func(c Computer) ([]string, string, bool) {
			return []string{c.Label}, "", c.Label != "" && c.Phase != Deleted
		}},
		{"gone", func(c Computer) ([]string, string, bool) { return nil, stampText(c.UpdatedAt), c.Phase == Deleted }},
	},
}

// Computer returns a computer of an account.
func (v *View) Computer(account AccountID, id ComputerID) (Computer, error) {
	c, err := computers.get(v.r, string(id))
	return owned(c, err, c.Account == account && c.Phase != Deleted, computers.noun, string(id))
}

// ComputerNamed returns the computer of an account with a handle, or false.
func (v *View) ComputerNamed(account AccountID, handle string) (c Computer, ok bool, err error) {
	err = computers.each(v.r, "handle", []string{string(account), handle}, false, func(found Computer) bool { c, ok = found, true; return false })
	return c, ok, err
}

// ComputerLabelled returns the computer that a label in a URL names, or false.
func (v *View) ComputerLabelled(label string) (c Computer, ok bool, err error) {
	err = computers.each(v.r, "label", []string{label}, false, func(found Computer) bool { c, ok = found, true; return false })
	return c, ok, err
}

// ComputersFrom lists an account's computers made at one door, newest first.
func (v *View) ComputersFrom(account AccountID, o Origin, p Page) (List[Computer], error) {
	return computers.page(v.r, "origin", []string{string(account), string(o)}, p, nil)
}

// ComputerFrom returns a computer of an account that was made at a door.
func (v *View) ComputerFrom(account AccountID, o Origin, id ComputerID) (Computer, error) {
	c, err := v.Computer(account, id)
	return owned(c, err, c.Origin == o, computers.noun, string(id))
}

// Wanted reports whether somebody waits for it: a run, or an operation.
func (c Computer) Wanted() bool { return c.Live > 0 || c.Operations > 0 }

// AnyComputer returns a computer of any account, for those who act on records
// and not for a caller.
func (v *View) AnyComputer(id ComputerID) (Computer, bool, error) {
	return computers.find(v.r, string(id))
}

// EveryComputer visits all accounts' computers that exist.
func (v *View) EveryComputer(visit func(Computer) bool) error {
	for _, p := range Phases() {
		if p == Deleted {
			continue
		}
		on := true
		err := computers.each(v.r, "phase", []string{string(p)}, false, func(c Computer) bool { on = visit(c); return on })
		if err != nil || !on {
			return err
		}
	}
	return nil
}

// Computers lists an account's computers, newest first; keep may be nil.
func (v *View) Computers(account AccountID, p Page, keep func(Computer) bool) (List[Computer], error) {
	return computers.page(v.r, "account", []string{string(account)}, p, keep)
}

// ComputersOn visits the computers a node owns, oldest first, until visit
// returns false.
func (v *View) ComputersOn(node NodeID, visit func(Computer) bool) error {
	return computers.each(v.r, "node", []string{string(node)}, false, visit)
}

// WantedComputersOn visits the computers of a node that somebody waits for;
// of node "", those that no node ever claimed.
func (v *View) WantedComputersOn(node NodeID, visit func(Computer) bool) error {
	return computers.each(v.r, "live", []string{string(node)}, false, visit)
}

// CountComputersOn is how many computers a node owns.
func (v *View) CountComputersOn(node NodeID) (int, error) {
	return computers.count(v.r, "node", string(node))
}

// CountComputersIn is how many computers are in a phase, in the whole cluster.
func (v *View) CountComputersIn(p Phase) (int, error) {
	return computers.count(v.r, "phase", string(p))
}

// putComputer stores a computer that changed, ends the operations on it that
// this ends, and tells its owner.
func (tx *Tx) putComputer(c Computer) error {
	c.UpdatedAt = tx.now
	if err := tx.settleOperations(&c); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedComputer, ID: string(c.ID), Node: c.Node})
	return computers.put(tx.w, c)
}

// MaxComputers bounds the computers of one account, its environments' among them.
const MaxComputers = 10_000

// CreateComputer makes the record of a computer that stands alone. Its wish is
// as given; with an Operation it is to run at once. It replies with Made.
type CreateComputer struct {
	Computer    Computer     `cbor:"1,keyasint"`
	Operation   *Operation   `cbor:"2,keyasint,omitempty"` // id and kind
	Idempotency *Idempotency `cbor:"3,keyasint,omitempty"`
}

func (cmd CreateComputer) apply(tx *Tx) error {
	c := cmd.Computer
	if done, err := tx.once(c.Account, cmd.Idempotency, Resource{"computer", string(c.ID)}); err != nil || done {
		return err
	}
	if _, err := accounts.get(tx.w, string(c.Account)); err != nil {
		return err
	}
	c.Environment = ""
	if c.Source != "" {
		if err := tx.restore(&c); err != nil {
			return err
		}
	}
	return tx.makeComputer(c, cmd.Operation)
}

// makeComputer stores a new computer that no node has claimed.
func (tx *Tx) makeComputer(c Computer, o *Operation) (err error) {
	c.Node, c.Epoch, c.Phase, c.Error, c.DataNode = "", 0, Provisioning, "", ""
	c.idle()
	c.Metered, c.Counters, c.Reservation, c.Operations, c.Resize = Metered{}, Metered{}, "", 0, nil
	c.RunFrom, c.StoredBytes, c.TickedAt = time.Time{}, 0, time.Time{}
	c.Saved, c.SaveError, c.Restored, c.Sent, c.SendError, c.ReturnedAt = Save{}, "", Restored{}, Sent{}, "", time.Time{}
	c.CreatedAt, c.UpdatedAt = tx.now, tx.now
	if err := tx.roomFor(c.Account); err != nil {
		return err
	}
	if err := tx.freeHandle(c); err != nil {
		return err
	}
	if c.Label, err = tx.label(c); err != nil {
		return err
	}
	if o != nil {
		if err := tx.begin(&c, *o); err != nil {
			return err
		}
	}
	tx.changed(Change{Noun: ChangedComputer, ID: string(c.ID)})
	return computers.create(tx.w, c)
}

// roomFor refuses an account one more computer than it may have.
func (tx *Tx) roomFor(account AccountID) error {
	n, err := computers.count(tx.w, "account", string(account))
	if err == nil && n >= MaxComputers {
		err = fault.New(fault.Conflict, "the account has %d computers, which is the limit", n)
	}
	return err
}

// UpdateComputer changes how a computer is shown; nil stays as it is.
type UpdateComputer struct {
	Account  AccountID  `cbor:"1,keyasint"`
	Computer ComputerID `cbor:"2,keyasint"`
	Name     *string    `cbor:"3,keyasint,omitempty"`
	Icon     *string    `cbor:"4,keyasint,omitempty"`
	// Instructions are for agents that work on it.
	Instructions *string `cbor:"5,keyasint,omitempty"`
}

func (cmd UpdateComputer) apply(tx *Tx) error {
	c, err := tx.Computer(cmd.Account, cmd.Computer)
	if err != nil {
		return err
	}
	if cmd.Name != nil {
		c.Name = *cmd.Name
	}
	if cmd.Icon != nil {
		c.Icon = *cmd.Icon
	}
	if cmd.Instructions != nil {
		c.Instructions = *cmd.Instructions
	}
	return tx.putComputer(c)
}
