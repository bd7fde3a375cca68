package actors

import (
	"crypto/rand"

	"github.com/google/uuid"

	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	idLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
	idLength  = 21
)

// newID makes a prefix and 21 characters, 126 bits of chance. Commands carry
// ids, so they are made here and never where commands are applied.
func newID[T ~string](prefix string) T {
	var b [idLength]byte
	rand.Read(b[:])
	for i := range b {
		b[i] = idLetters[b[i]&63]
	}
	return T(prefix + "_" + string(b[:]))
}

// newComputerID makes a UUIDv7, which is a legal id in every dialect and a DNS label.
func newComputerID() state.ComputerID {
	return state.ComputerID(uuid.Must(uuid.NewV7()).String())
}
