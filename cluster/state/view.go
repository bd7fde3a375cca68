package state

import "time"

// View reads the records as they were at one index. Every method takes the
// account it answers for; a record of another account is NotFound.
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

// stampText orders records by time inside an index.
func stampText(t time.Time) string { return encodeText(uint64(t.UnixNano())) }
