package state

import (
	"fmt"
	"strings"
	"time"
)

const (
	// AuditKept is how long an audit record is kept.
	AuditKept = 90 * 24 * time.Hour
	// MaxAuditRecords bounds those of one account that are about changes, and those
	// of the cluster itself: a new one then takes the place of the oldest.
	MaxAuditRecords = 50_000
	// MaxAuditScan bounds the records that one query looks at.
	MaxAuditScan = 5000
	// MaxAuditDetail bounds what a record says besides who did what.
	MaxAuditDetail = 512
	// auditVersion is the command version since which changes are audited.
	auditVersion = 5
)

// AuditClass says which bound an audit record counts for.
type AuditClass int

const (
	AuditOld    AuditClass = iota // from before uses were audited
	AuditChange                   // records were changed, or all of them were taken
	AuditUse                      // something was used
)

// AuditRecord says who did what to what. It is written by the command that did
// it, and only when that changed something; what changed nothing is told by
// RecordUses. It holds no secret values.
type AuditRecord struct {
	Seq    uint64    `cbor:"1,keyasint"` // numbers the cluster's records, in the order they were applied
	At     time.Time `cbor:"2,keyasint"`
	Action string    `cbor:"3,keyasint"` // noun.verb, such as key.revoke
	// Account is whose record it is: that of what was changed, "" where that is
	// the cluster's own.
	Account  AccountID  `cbor:"4,keyasint"`
	Resource Resource   `cbor:"5,keyasint"`
	Computer ComputerID `cbor:"6,keyasint,omitempty"` // that the resource belongs to
	Detail   string     `cbor:"7,keyasint,omitempty"` // for people
	// By is who asked; without a request it was Node, or the leader on its own.
	By   Cause  `cbor:"8,keyasint"`
	Node NodeID `cbor:"9,keyasint,omitempty"` // that the request came to
	// Class, and of a use how often it was done and when first: At is when it was
	// written.
	Class AuditClass `cbor:"10,keyasint,omitempty"`
	Count int        `cbor:"11,keyasint,omitempty"`
	Since time.Time  `cbor:"12,keyasint,omitzero"`
}

func (a AuditRecord) id() string { return encodeText(a.Seq) }

var audits = table[AuditRecord]{
	name: "audit", noun: "Audit record",
	id: AuditRecord.id,
	indexes: []index[AuditRecord]{
		{"account", func(a AuditRecord) ([]string, string, bool) { return []string{string(a.Account)}, "", true }},
		{"changes", func(a AuditRecord) ([]string, string, bool) {
			return []string{string(a.Account)}, "", a.Class == AuditChange
		}},
		{"uses", func(a AuditRecord) ([]string, string, bool) {
			return []string{string(a.Account)}, "", a.Class == AuditUse
		}},
		{"age", func(a AuditRecord) ([]string, string, bool) { return nil, stampText(a.At), true }},
	},
}

var keyAudit = key("meta", "audit") // the newest record's number

// AuditQuery picks audit records. Empty fields pick all.
type AuditQuery struct {
	// Account picks those of one account's things; nil those of all, and "" the
	// cluster's own.
	Account *AccountID
	// Actor is the account, user, key or node that did it, or the session or SSH
	// key that somebody came by who did.
	Actor string
	// Action is one action, or with a trailing dot all of a noun: "key.".
	Action string
	// Resource is the id of what was changed or of the computer it belongs to,
	// alone or after its kind: "share/share_…".
	Resource string
	// Class is AuditChange or AuditUse; AuditOld picks both.
	Class  AuditClass
	Since  time.Time // from then on
	Until  time.Time // before then
	Oldest bool      // the oldest first, else the newest
	// Cursor goes on after a page: its Next.
	Cursor uint64
	Limit  int // 1 or more
}

// AuditPage is what a query found. Where Next is not 0 there may be more, after
// it: a page may be short, even empty, because one query looks at MaxAuditScan records.
type AuditPage struct {
	Records []AuditRecord
	Next    uint64
}

// Audit finds audit records.
func (v *View) Audit(q AuditQuery) (page AuditPage, err error) {
	page.Records = []AuditRecord{}
	prefix := audits.key("")
	prefix = prefix[:len(prefix)-1]
	if q.Account != nil {
		prefix = audits.scopePrefix("account", []string{string(*q.Account), ""})
	}
	from, to := prefix, after(prefix)
	at := append(append([]byte(nil), prefix...), encodeText(q.Cursor)...)
	switch {
	case q.Cursor == 0:
	case q.Oldest:
		from = after(at)
	default:
		to = at
	}
	seen, failed := 0, error(nil)
	err = v.r.Scan(from, to, !q.Oldest, func(k, _ []byte) bool {
		var a AuditRecord
		if a, failed = audits.get(v.r, lastPart(k)); failed != nil {
			return false
		}
		seen++
		if q.Oldest && !q.Until.IsZero() && !a.At.Before(q.Until) || !q.Oldest && a.At.Before(q.Since) {
			page.Next = 0
			return false
		}
		page.Next = a.Seq
		if q.picks(a) {
			page.Records = append(page.Records, a)
		}
		return len(page.Records) < q.Limit && seen < MaxAuditScan
	})
	if failed != nil {
		err = failed
	}
	if len(page.Records) < q.Limit && seen < MaxAuditScan {
		page.Next = 0
	}
	return page, err
}

func (q AuditQuery) picks(a AuditRecord) bool {
	if !q.Since.IsZero() && a.At.Before(q.Since) || !q.Until.IsZero() && !a.At.Before(q.Until) {
		return false
	}
	if q.Actor != "" && !a.by(q.Actor) {
		return false
	}
	if q.Class != AuditOld && (q.Class == AuditUse) != (a.Class == AuditUse) {
		return false
	}
	if q.Action != "" && q.Action != a.Action && !(strings.HasSuffix(q.Action, ".") && strings.HasPrefix(a.Action, q.Action)) {
		return false
	}
	if q.Resource == "" {
		return true
	}
	computer := Resource{"computer", string(a.Computer)}
	for _, r := range []Resource{a.Resource, computer} {
		if r.ID != "" && (q.Resource == r.ID || q.Resource == r.Kind+"/"+r.ID) {
			return true
		}
	}
	return false
}

// by reports whether an account, user, key or node did it, or somebody whom a
// session or SSH key let in.
func (a AuditRecord) by(actor string) bool {
	switch actor {
	case string(a.By.Account), string(a.By.User), string(a.By.Key):
		return true
	case a.Resource.ID:
		return a.Class == AuditUse && (a.Resource.Kind == "session" || a.Resource.Kind == "sshkey")
	}
	return actor == string(a.Node) && a.By == (Cause{}) && a.Class != AuditUse
}

// audit writes what a command did, if that is audited and its writes change
// something.
func (tx *Tx) audit(writes *overlay, cmd Command) error {
	before := NewView(writes.base, nil)
	d, err := deedOf(before, &tx.View, cmd)
	if err != nil || d == nil {
		return err
	}
	if changed, err := writes.changes(); err != nil || !changed {
		return err
	}
	c, ok, err := before.Cluster()
	if err != nil {
		return err
	}
	if !ok { // this command makes it
		c, _, err = tx.Cluster()
	}
	if err != nil || c.Version < auditVersion {
		return err
	}
	a := AuditRecord{Action: d.action, Account: d.account, Resource: d.resource, Computer: d.computer, Detail: d.said(c.Version)}
	if tx.cause != nil {
		a.By = *tx.cause
	}
	if c.Version >= usesVersion {
		a.Class = AuditChange
	}
	return tx.write(a)
}

// write numbers and stamps an audit record, and keeps it.
func (tx *Tx) write(a AuditRecord) error {
	b, err := tx.w.Get(keyAudit)
	if err != nil {
		return err
	}
	last, err := decodeUint(b)
	if err != nil {
		return err
	}
	a.Seq, a.At, a.Node, a.By.Trace, a.Detail = last+1, tx.now, tx.by.Node, "", clip(a.Detail, MaxAuditDetail)
	if err := tx.w.Set(keyAudit, encodeUint(a.Seq)); err != nil {
		return err
	}
	if err := audits.create(tx.w, a); err != nil {
		return err
	}
	return tx.trimAudit(a)
}

// trimAudit removes the oldest audit record of those that a new one counts among,
// when there is one too many.
func (tx *Tx) trimAudit(a AuditRecord) error {
	ix, most := "account", MaxAuditRecords
	switch a.Class {
	case AuditChange:
		ix = "changes"
	case AuditUse:
		ix, most = "uses", MaxAuditUses
	}
	n, err := audits.count(tx.w, ix, string(a.Account))
	if err != nil || n <= most {
		return err
	}
	_, err = removeScope(tx, &audits, ix, string(a.Account), 1)
	return err
}

// clip ends a text at n bytes, at a whole character.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}

// deed is what an audited command did.
type deed struct {
	action   string
	account  AccountID
	resource Resource
	computer ComputerID
	detail   string
	more     string // of the detail, since usesVersion
}

// did is a deed about a resource of an account.
func did[ID ~string](action string, account AccountID, id ID) *deed {
	noun, _, _ := strings.Cut(action, ".")
	return &deed{action: action, account: account, resource: Resource{noun, string(id)}}
}

func (d *deed) on(c ComputerID) *deed { d.computer = c; return d }

func (d *deed) saying(format string, args ...any) *deed {
	d.detail = fmt.Sprintf(format, args...)
	return d
}

// also says more, where every node's build does.
func (d *deed) also(format string, args ...any) *deed {
	d.more = fmt.Sprintf(format, args...)
	return d
}

// said is the whole detail.
func (d *deed) said(version int) string {
	if version < usesVersion || d.more == "" {
		return d.detail
	}
	return strings.TrimPrefix(d.detail+"; "+d.more, "; ")
}

// dollars writes money as people do.
func (m MicroUSD) dollars() string {
	sign := ""
	if m < 0 {
		sign, m = "-", -m
	}
	return fmt.Sprintf("%s$%d.%06d", sign, m/1_000_000, m%1_000_000)
}

func limitText(m *MicroUSD) string {
	if m == nil {
		return "none"
	}
	return m.dollars()
}

// environmentChange says which secrets and variables an update sets and removes.
func environmentChange(before *View, e Environment) (string, error) {
	have, ok, err := environments.find(before.r, string(e.ID))
	if err != nil || !ok {
		return "", err
	}
	var said []string
	for _, kind := range []struct {
		name    string
		was, is []Sealed
	}{{"secrets", have.Secrets, e.Secrets}, {"variables", have.Variables, e.Variables}} {
		set, gone := sealedChange(kind.was, kind.is)
		if len(set) > 0 {
			said = append(said, kind.name+" set: "+strings.Join(set, " "))
		}
		if len(gone) > 0 {
			said = append(said, kind.name+" removed: "+strings.Join(gone, " "))
		}
	}
	return strings.Join(said, "; "), nil
}

// sealedChange lists the names whose value is new or another, and those that are gone.
func sealedChange(was, is []Sealed) (set, gone []string) {
	old := make(map[string]string, len(was))
	for _, s := range was {
		old[s.Key] = string(s.Value)
	}
	for _, s := range is {
		if v, ok := old[s.Key]; !ok || v != string(s.Value) {
			set = append(set, s.Key)
		}
		delete(old, s.Key)
	}
	for _, s := range was {
		if _, left := old[s.Key]; left {
			gone = append(gone, s.Key)
			delete(old, s.Key)
		}
	}
	return set, gone
}
