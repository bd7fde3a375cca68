package state

import "time"

// View reads the records as they were at one index. A method that answers for
// a caller takes the account, and a record of another account is NotFound. One
// that takes none (Any…, Events, Snapshots, …On, Live…) is for those who act on
// records: a door first gets the thing itself, by account.
type View struct {
	r     Reader
	close func()
}

// NewView reads from r; close, which may be nil, is called once by Close.
func NewView(r Reader, close func()) *View { return &View{r: r, close: close} }

// Close gives the view's resources back. It must be called once.
func (v *View) Close() {
	if v.close != nil {
		v.close()
		v.close = nil
	}
}

// AppliedIndex is the raft index the view shows.
func (v *View) AppliedIndex() (uint64, error) { return AppliedIndex(v.r) }

// Now is what the time is for the records: here, where somebody looks at them, or
// that of the newest entry where it is later. It is later after the clock of a
// leader was ahead, and what is due at once is not due by any clock until then.
func (v *View) Now(here time.Time) (time.Time, error) {
	stamp, err := LastStamp(v.r)
	if at := time.Unix(0, stamp).UTC(); at.After(here) {
		return at, err
	}
	return here, err
}

// Since is how long ago a moment of the records was by their own time, whatever
// any clock says. What passed since the newest entry does not count.
func (v *View) Since(at time.Time) (time.Duration, error) {
	stamp, err := LastStamp(v.r)
	return max(0, time.Unix(0, stamp).Sub(at)), err
}

// stampText orders records by time inside an index.
func stampText(t time.Time) string { return encodeText(uint64(t.UnixNano())) }

// Broken is a view of records that cannot be read: every method fails with err.
func Broken(err error) *View { return &View{r: broken{err}} }

type broken struct{ err error }

func (b broken) Get([]byte) ([]byte, error) { return nil, b.err }

func (b broken) Scan(_, _ []byte, _ bool, _ func(key, value []byte) bool) error { return b.err }
