package members

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
	"github.com/hashicorp/memberlist"
)

const (
	// MaxImages bounds the images a node tells it has; more are left out.
	MaxImages = 16
	// maxTextBytes bounds each text in Meta.
	maxTextBytes = 64

	memoryStepBytes = 64 << 20
	diskStepBytes   = 256 << 20
	loadStep        = 5
)

// Meta is what a node tells about itself. The figures are rounded before they
// are sent, so that gossip is not busy with small changes.
type Meta struct {
	Name            string   // display name
	HTTP            string   // host:port of its public door
	Peer            string   // host:port for other nodes
	Version         string   // of its build
	Commands        int      // newest command set it knows
	LoadPercent     int      // of its cpus; may be over 100
	FreeMemoryBytes int64    // that computers can still have
	FreeDiskBytes   int64    // in its pool
	Images          []uint64 // the first 8 bytes of the digests of images it has
}

// wireMeta is Meta as it travels; a newer build may add fields, which are skipped.
type wireMeta struct {
	Name     string   `cbor:"1,keyasint,omitempty"`
	HTTP     string   `cbor:"2,keyasint,omitempty"`
	Peer     string   `cbor:"3,keyasint,omitempty"`
	Version  string   `cbor:"4,keyasint,omitempty"`
	Commands uint32   `cbor:"5,keyasint,omitempty"`
	Load     uint32   `cbor:"6,keyasint,omitempty"` // in loadStep percent
	Memory   uint32   `cbor:"7,keyasint,omitempty"` // in memoryStepBytes
	Disk     uint32   `cbor:"8,keyasint,omitempty"` // in diskStepBytes
	Images   []uint64 `cbor:"9,keyasint,omitempty"`
}

// encode writes m in at most memberlist.MetaMaxSize bytes.
func (m Meta) encode() ([]byte, error) {
	for _, text := range []string{m.Name, m.HTTP, m.Peer, m.Version} {
		if len(text) > maxTextBytes {
			return nil, fmt.Errorf("%q has more than %d bytes", text, maxTextBytes)
		}
	}
	b, err := cbor.Marshal(wireMeta{
		Name: m.Name, HTTP: m.HTTP, Peer: m.Peer, Version: m.Version,
		Commands: steps(int64(m.Commands), 1), Load: steps(int64(m.LoadPercent), loadStep),
		Memory: steps(m.FreeMemoryBytes, memoryStepBytes), Disk: steps(m.FreeDiskBytes, diskStepBytes),
		Images: m.Images[:min(len(m.Images), MaxImages)],
	})
	if err == nil && len(b) > memberlist.MetaMaxSize {
		err = fmt.Errorf("%d bytes are more than %d", len(b), memberlist.MetaMaxSize)
	}
	return b, err
}

// steps counts whole steps in v; what is negative or beyond the type is cut off.
func steps(v, step int64) uint32 { return uint32(min(max(v/step, 0), 1<<31)) }

// decodeMeta reads what another node sent.
func decodeMeta(b []byte) (Meta, error) {
	var w wireMeta
	if len(b) > memberlist.MetaMaxSize {
		return Meta{}, fmt.Errorf("%d bytes are more than %d", len(b), memberlist.MetaMaxSize)
	}
	if err := cbor.Unmarshal(b, &w); err != nil {
		return Meta{}, err
	}
	return Meta{
		Name: w.Name, HTTP: w.HTTP, Peer: w.Peer, Version: w.Version, Commands: int(w.Commands),
		LoadPercent: int(w.Load) * loadStep, FreeMemoryBytes: int64(w.Memory) * memoryStepBytes,
		FreeDiskBytes: int64(w.Disk) * diskStepBytes, Images: w.Images,
	}, nil
}
