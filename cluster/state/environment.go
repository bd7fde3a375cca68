package state

import (
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Environment is a recipe and its one computer: the base image, what is
// installed, and what a run is given.
type Environment struct {
	ID            EnvironmentID     `cbor:"1,keyasint"`
	Account       AccountID         `cbor:"2,keyasint"`
	User          UserID            `cbor:"3,keyasint"`
	Version       uint64            `cbor:"4,keyasint"` // counts changes, for compare-and-swap
	Name          string            `cbor:"5,keyasint"`
	Description   string            `cbor:"6,keyasint"`
	BaseImage     string            `cbor:"7,keyasint"`
	Dockerfile    string            `cbor:"8,keyasint"` // the user's extensions
	Runtimes      map[string]string `cbor:"9,keyasint"`
	Packages      Packages          `cbor:"10,keyasint"`
	Variables     []Sealed          `cbor:"11,keyasint"`
	Secrets       []Sealed          `cbor:"12,keyasint"`
	SetupScripts  []string          `cbor:"13,keyasint"`
	MCPServers    []MCPServer       `cbor:"14,keyasint"`
	Documentation []string          `cbor:"15,keyasint"`
	NoInternet    bool              `cbor:"16,keyasint"`
	NetworkAccess []byte            `cbor:"17,keyasint"` // a JSON object, as given
	Metadata      []byte            `cbor:"18,keyasint"` // a JSON object, as given
	Config        string            `cbor:"19,keyasint"`
	Inactive      bool              `cbor:"20,keyasint"`
	Default       bool              `cbor:"21,keyasint"`
	Build         Built             `cbor:"22,keyasint"`
	Computer      ComputerID        `cbor:"23,keyasint"`
	App           string            `cbor:"24,keyasint"`
	CreatedAt     time.Time         `cbor:"25,keyasint"`
	UpdatedAt     time.Time         `cbor:"26,keyasint"`
	// Network is NetworkAccess as it was understood.
	Network NetworkRules `cbor:"27,keyasint,omitzero"`
}

// Packages are what is installed, by installer.
type Packages struct {
	System []string `cbor:"1,keyasint"`
	Python []string `cbor:"2,keyasint"`
	Node   []string `cbor:"3,keyasint"`
}

// Empty reports whether no package is named.
func (p Packages) Empty() bool { return len(p.System)+len(p.Python)+len(p.Node) == 0 }

// Sealed is a named value that only nodes can open.
type Sealed struct {
	Key   string `cbor:"1,keyasint"`
	Value []byte `cbor:"2,keyasint"`
}

var environments = table[Environment]{
	name: "environment", noun: "Environment",
	id: func(e Environment) string { return string(e.ID) },
	sealed: func(e *Environment) []sealedPlace {
		return slices.Concat(placesOfPairs(e.Account, e.Variables), placesOfPairs(e.Account, e.Secrets), placesOfServers(e.Account, e.MCPServers))
	},
	indexes: []index[Environment]{
		// The default comes first in a list: clients look for it on the first page.
		{"active", func(e Environment) ([]string, string, bool) {
			return []string{string(e.Account)}, defaultFirst(e), !e.Inactive
		}},
		{"inactive", func(e Environment) ([]string, string, bool) {
			return []string{string(e.Account)}, stampText(e.CreatedAt), e.Inactive
		}},
		{"tag", func(e Environment) ([]string, string, bool) { return []string{e.Build.Tag}, "", e.Build.Tag != "" }},
	},
}

func defaultFirst(e Environment) string {
	if e.Default {
		return "1" + stampText(e.CreatedAt)
	}
	return "0" + stampText(e.CreatedAt)
}

// Environment returns an environment of an account, active or not.
func (v *View) Environment(account AccountID, id EnvironmentID) (Environment, error) {
	e, err := environments.get(v.r, string(id))
	return owned(e, err, e.Account == account, environments.noun, string(id))
}

// Environments lists an account's active or inactive environments, the default
// first, then newest first; keep may be nil.
func (v *View) Environments(account AccountID, active bool, p Page, keep func(Environment) bool) (List[Environment], error) {
	ix := "inactive"
	if active {
		ix = "active"
	}
	return environments.page(v.r, ix, []string{string(account)}, p, keep)
}

// DefaultEnvironment returns the account's default, or false.
func (v *View) DefaultEnvironment(account AccountID) (Environment, bool, error) {
	list, err := v.Environments(account, true, Page{Limit: 1}, nil)
	if err != nil || len(list.Items) == 0 || !list.Items[0].Default {
		return Environment{}, false, err
	}
	return list.Items[0], true, nil
}

// EnvironmentTagged returns the environment, active or not, whose newest good
// image has a name, or false.
func (v *View) EnvironmentTagged(tag string) (e Environment, ok bool, err error) {
	err = environments.each(v.r, "tag", []string{tag}, false, func(found Environment) bool { e, ok = found, true; return false })
	return e, ok, err
}

// CreateEnvironment stores a recipe and the record of its computer, which no
// node makes before its first use. With IfNoDefault it does nothing when the
// account has a default; the reply then names that one.
type CreateEnvironment struct {
	Environment Environment  `cbor:"1,keyasint"`
	Computer    Computer     `cbor:"2,keyasint"`
	IfNoDefault bool         `cbor:"3,keyasint"`
	Idempotency *Idempotency `cbor:"4,keyasint,omitempty"`
	Recipe      Recipe       `cbor:"5,keyasint"`
}

func (cmd CreateEnvironment) apply(tx *Tx) error {
	e, c := cmd.Environment, cmd.Computer
	have, ok, err := tx.DefaultEnvironment(e.Account)
	if err != nil {
		return err
	}
	makes := Resource{"environment", string(e.ID)}
	if ok && cmd.IfNoDefault {
		makes.ID = string(have.ID)
	}
	if done, err := tx.once(e.Account, cmd.Idempotency, makes); err != nil || done {
		return err
	}
	if ok && cmd.IfNoDefault {
		tx.Reply(Made{Resource: makes, Replayed: true})
		return nil
	}
	e.Default = e.Default && !e.Inactive
	if ok && e.Default {
		if err := tx.setDefault(have, false); err != nil {
			return err
		}
	}
	if err := e.Network.check(); err != nil {
		return err
	}
	e.Version, e.Computer, e.CreatedAt, e.UpdatedAt = 1, c.ID, tx.now, tx.now
	c.Egress, c.Network = !e.NoInternet, e.Network
	c.Account, c.Environment, c.Origin, c.Wish = e.Account, e.ID, OriginEnvironment, WishStopped
	if err := tx.makeComputer(c, nil); err != nil {
		return err
	}
	e.Build = Built{}
	if err := tx.rebuild(&e, cmd.Recipe); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedEnvironment, ID: string(e.ID)})
	return environments.create(tx.w, e)
}

// UpdateEnvironment replaces an environment that has not changed since version
// Seen, and what its computer may connect to with it. Setting Default unsets the one
// before; an inactive environment is never the default.
type UpdateEnvironment struct {
	Environment Environment `cbor:"1,keyasint"`
	Seen        uint64      `cbor:"2,keyasint"`
	Recipe      Recipe      `cbor:"3,keyasint"`
}

func (cmd UpdateEnvironment) apply(tx *Tx) error {
	e := cmd.Environment
	have, err := tx.Environment(e.Account, e.ID)
	if err != nil {
		return err
	}
	if have.Version != cmd.Seen {
		return changedSince("environment", string(have.ID))
	}
	e.Default, e.Computer, e.Build = e.Default && !e.Inactive, have.Computer, have.Build
	if e.Default && !have.Default {
		if err := tx.unsetDefault(e.Account); err != nil {
			return err
		}
	}
	if err := e.Network.check(); err != nil {
		return err
	}
	if e.Inactive != have.Inactive || e.NoInternet != have.NoInternet || !e.Network.Equal(have.Network) {
		if err := tx.adjustComputer(e); err != nil {
			return err
		}
	}
	if err := tx.rebuild(&e, cmd.Recipe); err != nil {
		return err
	}
	e.Version, e.CreatedAt, e.UpdatedAt = have.Version+1, have.CreatedAt, tx.now
	tx.changed(Change{Noun: ChangedEnvironment, ID: string(e.ID)})
	return environments.put(tx.w, e)
}

// adjustComputer tells the environment's computer what it may connect to, and
// stops it when the environment was deactivated.
func (tx *Tx) adjustComputer(e Environment) error {
	c, ok, err := tx.AnyComputer(e.Computer)
	if err != nil || !ok || c.Wish == WishDeleted {
		return err
	}
	c.Egress, c.Network = !e.NoInternet, e.Network
	if e.Inactive {
		c.Wish, c.IdleStopped = WishStopped, false
	}
	return tx.putComputer(c)
}

func (tx *Tx) unsetDefault(account AccountID) error {
	have, ok, err := tx.DefaultEnvironment(account)
	if err != nil || !ok {
		return err
	}
	return tx.setDefault(have, false)
}

func (tx *Tx) setDefault(e Environment, to bool) error {
	e.Default, e.UpdatedAt, e.Version = to, tx.now, e.Version+1
	tx.changed(Change{Noun: ChangedEnvironment, ID: string(e.ID)})
	return environments.put(tx.w, e)
}

// SetDefaultEnvironment makes one environment the account's default, exactly one.
type SetDefaultEnvironment struct {
	Account     AccountID     `cbor:"1,keyasint"`
	Environment EnvironmentID `cbor:"2,keyasint"`
}

func (cmd SetDefaultEnvironment) apply(tx *Tx) error {
	e, err := tx.Environment(cmd.Account, cmd.Environment)
	if err != nil {
		return err
	}
	if e.Inactive {
		return fault.New(fault.Conflict, "Environment %s is deleted; restore it first", e.ID)
	}
	if e.Default {
		return nil
	}
	if err := tx.unsetDefault(cmd.Account); err != nil {
		return err
	}
	return tx.setDefault(e, true)
}

// DeleteEnvironment removes an environment for good, with its computer and
// schedules. Its threads stay readable; runs in progress are cancelled.
type DeleteEnvironment struct {
	Account     AccountID     `cbor:"1,keyasint"`
	Environment EnvironmentID `cbor:"2,keyasint"`
}

func (cmd DeleteEnvironment) apply(tx *Tx) error {
	e, err := tx.Environment(cmd.Account, cmd.Environment)
	if err != nil {
		return err
	}
	if err := tx.endBuilds(&e, "the environment was deleted"); err != nil {
		return err
	}
	if err := tx.forgetBuilds(e.ID, 0); err != nil {
		return err
	}
	if err := tx.dropSchedules("environment", string(e.ID)); err != nil {
		return err
	}
	if err := environments.remove(tx.w, string(e.ID)); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedEnvironment, ID: string(e.ID)})
	c, ok, err := tx.AnyComputer(e.Computer)
	if err != nil || !ok {
		return err
	}
	return tx.deleteComputer(c, nil)
}
