package state

// Placement is who owns a computer, and in which epoch.
type Placement struct {
	Node  NodeID `cbor:"1,keyasint"`
	Epoch Epoch  `cbor:"2,keyasint"`
}

// CodeDataAway marks an Unavailable of a computer whose newest data is on a
// node that is away, or does not own it.
const CodeDataAway = "DATA_AWAY"
