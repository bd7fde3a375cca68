package state

import (
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Bounds of a Diff, which rides in one command.
const (
	MaxDiffFiles = 500       // files that it tells
	MaxDiffBytes = 256 << 10 // of unified diffs in it
)

// Diff is what a run has changed in its computer's workspace, from its first
// use of the computer to its end.
type Diff struct {
	Run     RunID      `cbor:"1,keyasint"`
	Thread  ThreadID   `cbor:"2,keyasint"`
	Account AccountID  `cbor:"3,keyasint"`
	Files   []FileDiff `cbor:"4,keyasint"` // by path
	More    int        `cbor:"5,keyasint"` // files beyond the bound, which it does not tell
	// Note is for the user: why something is not told, or may not be the run's.
	Note      string    `cbor:"6,keyasint"`
	CreatedAt time.Time `cbor:"7,keyasint"`
}

// FileDiff is one file that is not as it was.
type FileDiff struct {
	Path      string `cbor:"1,keyasint"` // relative to the workspace
	Change    string `cbor:"2,keyasint"` // created, modified, deleted
	Unified   string `cbor:"3,keyasint"` // "" where Omitted says why
	Additions int    `cbor:"4,keyasint"` // lines
	Deletions int    `cbor:"5,keyasint"`
	Omitted   string `cbor:"6,keyasint"` // binary, large, link, unknown, or ""
}

var diffs = table[Diff]{
	name: "diff", noun: "Diff",
	id: func(d Diff) string { return string(d.Run) },
	indexes: []index[Diff]{
		{"thread", func(d Diff) ([]string, string, bool) {
			return []string{string(d.Thread)}, stampText(d.CreatedAt), true
		}},
	},
}

// Diffs lists what a thread's runs changed, newest first. A run that changed
// nothing has none.
func (v *View) Diffs(account AccountID, thread ThreadID, p Page) (List[Diff], error) {
	if _, err := v.Thread(account, thread); err != nil {
		return List[Diff]{Items: []Diff{}}, err
	}
	return diffs.page(v.r, "thread", []string{string(thread)}, p, nil)
}

// RunDiff is what one run changed; false when nothing is recorded.
func (v *View) RunDiff(account AccountID, run RunID) (Diff, bool, error) {
	d, ok, err := diffs.find(v.r, string(run))
	if err != nil || !ok || d.Account != account {
		return Diff{}, false, err
	}
	_, err = v.Thread(account, d.Thread)
	return d, err == nil, err
}

// RecordDiff keeps what a run changed. The owner sends it before the run's
// end; sent again it replaces what it said before.
type RecordDiff struct {
	Epoch Epoch `cbor:"1,keyasint"`
	Diff  Diff  `cbor:"2,keyasint"` // Thread, Account and CreatedAt are set here
}

func (cmd RecordDiff) apply(tx *Tx) error {
	d := cmd.Diff
	r, ok, err := tx.AnyRun(d.Run)
	if err != nil {
		return err
	}
	if !ok {
		return fault.New(fault.NotFound, "Run not found: %s", d.Run)
	}
	if _, err := tx.own(r.Computer, cmd.Epoch); err != nil {
		return err
	}
	if r.Status.Over() {
		return fault.New(fault.Moved, "run %s has ended", r.ID)
	}
	bytes := 0
	for _, f := range d.Files {
		bytes += len(f.Unified)
	}
	if len(d.Files) > MaxDiffFiles || bytes > MaxDiffBytes {
		return fault.New(fault.TooLarge, "a diff of %d files, %d bytes; the bounds are %d and %d", len(d.Files), bytes, MaxDiffFiles, MaxDiffBytes)
	}
	d.Thread, d.Account, d.CreatedAt = r.Thread, r.Account, tx.now
	return diffs.put(tx.w, d)
}
