package state

// Placement is who owns a computer, and in which epoch.
type Placement struct {
	Node  NodeID `cbor:"1,keyasint"`
	Epoch Epoch  `cbor:"2,keyasint"`
}
