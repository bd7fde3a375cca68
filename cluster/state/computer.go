package state

import (
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
			return []string{string(c.Node)}, stampText(c.CreatedAt), c.Live > 0 && c.Phase != Deleted
		}},
		{"phase", func(c Computer) ([]string, string, bool) {
			return []string{string(c.Phase)}, stampText(c.CreatedAt), true
		}},
		{"gone", func(c Computer) ([]string, string, bool) { return nil, stampText(c.UpdatedAt), c.Phase == Deleted }},
	},
}

// Computer returns a computer of an account.
func (v *View) Computer(account AccountID, id ComputerID) (Computer, error) {
	c, err := computers.get(v.r, string(id))
	return owned(c, err, c.Account == account && c.Phase != Deleted, computers.noun, string(id))
}

// AnyComputer returns a computer of any account, for those who act on records
// and not for a caller.
func (v *View) AnyComputer(id ComputerID) (Computer, bool, error) {
	return computers.find(v.r, string(id))
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

// LiveComputersOn visits the computers of a node that have runs in progress;
// of node "", those that no node ever claimed.
func (v *View) LiveComputersOn(node NodeID, visit func(Computer) bool) error {
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

// own returns the computer if the command comes from its owner in its epoch,
// whose lease still holds. It is the records' fence: everything an owner
// proposes passes through it.
func (tx *Tx) own(id ComputerID, epoch Epoch) (Computer, error) {
	c, ok, err := tx.AnyComputer(id)
	if err != nil {
		return c, err
	}
	if !ok || c.Phase == Deleted {
		return c, fault.New(fault.NotFound, "Computer not found: %s", id)
	}
	if !tx.owns(c, epoch) {
		return c, fault.New(fault.Moved, "computer %s is at epoch %d on node %s; this command is of epoch %d on node %s", id, c.Epoch, c.Node, epoch, tx.by.Node)
	}
	return c, nil
}

// owns reports whether the command comes from the computer's owner in its
// epoch. A command without an incarnation comes from nobody: no lease was
// checked for it.
func (tx *Tx) owns(c Computer, epoch Epoch) bool {
	return c.Epoch == epoch && c.Node == tx.by.Node && tx.by.Incarnation != 0
}

// Claim makes a node the owner of a computer and begins a new epoch. Seen is
// the epoch the proposer decided from. While the present owner's lease holds
// it is refused, unless the owner hands it over itself (drain) or takes it up
// again. It replies with the new epoch.
type Claim struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Node     NodeID     `cbor:"2,keyasint"`
	Seen     Epoch      `cbor:"3,keyasint"`
}

func (cmd Claim) apply(tx *Tx) error {
	c, ok, err := tx.AnyComputer(cmd.Computer)
	if err != nil {
		return err
	}
	if !ok || c.Phase == Deleted {
		return fault.New(fault.NotFound, "Computer not found: %s", cmd.Computer)
	}
	if c.Epoch != cmd.Seen {
		return fault.New(fault.Conflict, "computer %s is at epoch %d, not %d", c.ID, c.Epoch, cmd.Seen).WithCode(CodeChanged)
	}
	to, err := tx.Node(cmd.Node)
	if err != nil {
		return err
	}
	if !to.Leased() {
		return fault.New(fault.Conflict, "node %s has no lease", to.Name)
	}
	if from, held, err := tx.FindNode(c.Node); err != nil {
		return err
	} else if held && from.Leased() && c.Node != cmd.Node && c.Node != tx.by.Node {
		return fault.New(fault.Conflict, "computer %s belongs to node %s, whose lease holds", c.ID, from.Name)
	}
	if err := tx.dropDisks(c.ID, cmd.Node); err != nil {
		return err
	}
	c.Node, c.Epoch, c.UpdatedAt = cmd.Node, c.Epoch+1, tx.now
	tx.computerChanged(c)
	if err := tx.runsChanged(c); err != nil {
		return err
	}
	tx.Reply(c.Epoch)
	return computers.put(tx.w, c)
}

func (tx *Tx) computerChanged(c Computer) {
	tx.changed(Change{Noun: ChangedComputer, ID: string(c.ID), Node: c.Node})
}

// SetWish says what a computer's user wants; its owner makes it so.
type SetWish struct {
	Account  AccountID  `cbor:"1,keyasint"`
	Computer ComputerID `cbor:"2,keyasint"`
	Wish     Wish       `cbor:"3,keyasint"`
}

func (cmd SetWish) apply(tx *Tx) error {
	c, err := tx.Computer(cmd.Account, cmd.Computer)
	if err != nil {
		return err
	}
	switch cmd.Wish {
	case WishDeleted:
		return tx.deleteComputer(c)
	case WishStopped, WishRunning:
		return tx.wish(c, cmd.Wish)
	}
	return fault.New(fault.Invalid, "no such wish: %q", cmd.Wish)
}

func (tx *Tx) wish(c Computer, w Wish) error {
	if c.Wish == WishDeleted {
		return fault.New(fault.Conflict, "computer %s is being deleted", c.ID)
	}
	c.Wish, c.UpdatedAt = w, tx.now
	c.IdleStopped = false
	tx.computerChanged(c)
	return computers.put(tx.w, c)
}

// deleteComputer asks the owner to end the computer's runs and then the
// computer. One that nobody ever claimed has no owner to ask and nothing to
// clean up: it is gone at once.
func (tx *Tx) deleteComputer(c Computer) error {
	if c.Phase == Deleted {
		return nil
	}
	if err := tx.cancelRuns(c); err != nil {
		return err
	}
	phase := Deleting
	if c.Node == "" {
		if err := tx.abandonRuns(c, "the computer was deleted"); err != nil {
			return err
		}
		phase, c.Live = Deleted, 0
	}
	c.Wish, c.Phase, c.UpdatedAt, c.IdleStopped = WishDeleted, phase, tx.now, false
	tx.computerChanged(c)
	return computers.put(tx.w, c)
}

// SetPhase records what the owner found or did. Idle marks a stop that nobody
// asked for: the wish becomes stopped with it, unless a run began meanwhile.
// Runs still in progress when a computer becomes deleted are ended with it.
type SetPhase struct {
	Computer ComputerID `cbor:"1,keyasint"`
	Epoch    Epoch      `cbor:"2,keyasint"`
	Phase    Phase      `cbor:"3,keyasint"`
	Error    string     `cbor:"4,keyasint"`
	Idle     bool       `cbor:"5,keyasint"`
	HasData  bool       `cbor:"6,keyasint"` // a layer and workspace now exist on the owner
	// Woke marks a start for somebody who uses the computer: the wish becomes
	// running with it, unless the computer is to be deleted.
	Woke bool `cbor:"7,keyasint"`
}

func (cmd SetPhase) apply(tx *Tx) error {
	c, err := tx.own(cmd.Computer, cmd.Epoch)
	if err != nil {
		return err
	}
	was := c.Phase
	if c.Phase, err = c.Phase.To(cmd.Phase); err != nil {
		return err
	}
	if c.Phase == Deleted {
		if err := tx.abandonRuns(c, "the computer was deleted"); err != nil {
			return err
		}
		c.Live = 0
	}
	c.Error, c.UpdatedAt = cmd.Error, tx.now
	if cmd.HasData {
		c.DataNode = c.Node
	}
	if cmd.Phase == Running {
		c.IdleStopped = false
		if was != Running && was != Updating {
			c.StartedAt = tx.now
		}
	}
	// A stop that its user asked for meanwhile stands, unless a run needs it.
	asked := c.Wish == WishStopped && !c.IdleStopped && was != Provisioning && was != Starting && c.Live == 0
	if cmd.Woke && c.Wish == WishStopped && !asked {
		c.Wish = WishRunning
	}
	if cmd.Idle && c.Live == 0 && c.Wish != WishDeleted {
		c.Wish, c.IdleStopped = WishStopped, true
	}
	if !cmd.Phase.Up() {
		if _, err := tx.releaseComputer(&c); err != nil {
			return err
		}
	}
	tx.computerChanged(c)
	return computers.put(tx.w, c)
}

// releaseComputer gives back what is held for a computer's next minutes, and
// returns how much that was.
func (tx *Tx) releaseComputer(c *Computer) (held MicroUSD, err error) {
	if c.Reservation == "" {
		return 0, nil
	}
	r, open, err := reservations.find(tx.w, string(c.Reservation))
	c.Reservation = ""
	if err != nil || !open {
		return 0, err
	}
	return r.Amount, tx.release(r)
}

// releaseComputers settles the computers of a node whose lease has run out, at
// their last tick: what was reserved for their next minutes goes back.
func releaseComputers(tx *Tx, node NodeID) error {
	var held []Computer
	err := tx.ComputersOn(node, func(c Computer) bool {
		if c.Reservation != "" {
			held = append(held, c)
		}
		return true
	})
	for _, c := range held {
		if err == nil {
			_, err = tx.releaseComputer(&c)
		}
		if err == nil {
			err = computers.put(tx.w, c)
		}
	}
	return err
}
