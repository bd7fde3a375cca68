package state

// Reader is an ordered, consistent view of the keys under the records.
// Slices it hands out are valid until the next call on it.
type Reader interface {
	// Get returns the value of key, or nil when there is none.
	Get(key []byte) ([]byte, error)
	// Scan visits the keys in [from, to) in order, or from the last to the
	// first when reverse is set, until visit returns false.
	Scan(from, to []byte, reverse bool, visit func(key, value []byte) bool) error
}

// Writer is a Reader that sees its own writes. The store commits all of them
// at once or none.
type Writer interface {
	Reader
	Set(key, value []byte) error
	Delete(key []byte) error
	// DeleteRange removes every key in [from, to).
	DeleteRange(from, to []byte) error
}
