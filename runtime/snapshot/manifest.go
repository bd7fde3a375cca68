package snapshot

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/bothy-computer/bothy/runtime"
	"github.com/bothy-computer/bothy/runtime/volume"
)

// format is the only one that there is; another is refused.
const format = 1

// Manifest says what a save is.
type Manifest struct {
	Format   int        `json:"format"`
	Computer runtime.ID `json:"computer"`
	Name     string     `json:"name"`
	// Image is the digest of the one that the layer stands on.
	Image  string    `json:"image"`
	MadeAt time.Time `json:"made_at"`
	Bytes  int64     `json:"bytes"` // logical
	// Note is the driver's own.
	Note    json.RawMessage `json:"note,omitempty"`
	Entries int64           `json:"entries"`
	// Pieces are all that are needed, by the saves that sent them.
	Pieces []sent `json:"pieces"`
	// Parts are the numbers of those pieces that list the entries, in order: an
	// index of all pieces in the order of Pieces, 4 bytes each.
	Parts []byte `json:"parts"`
}

// sent are pieces that a save has sent.
type sent struct {
	Save string `json:"save"`
	// Table has pieceRecordBytes for each: its hash, its size, and how much of it
	// is used.
	Table []byte `json:"table"`
}

const pieceRecordBytes = len(sum{}) + 8

// piece is one that a store has or gets.
type piece struct {
	ref
	size uint32 // before compression; 0 while it is not known
	// live is how many of its bytes files are made of; at most size counts.
	live uint64
	used bool // by the save that is being made
	// stale is set for one whose bytes are mostly of no use any more.
	stale bool
}

// catalog is all pieces that a manifest names, by what is in them.
type catalog map[sum]*piece

func (c catalog) find(at ref) *piece {
	if p := c[at.sum]; p != nil && p.save == at.save {
		return p
	}
	return nil
}

// read lists the manifest's pieces, and its parts in order.
func (m *Manifest) read() (catalog, []*piece, error) {
	pieces := catalog{}
	var order []*piece
	for _, s := range m.Pieces {
		if volume.CheckName(s.Save) != nil || len(s.Table)%pieceRecordBytes != 0 {
			return nil, nil, fmt.Errorf("%w: a table of pieces", errForm)
		}
		for t := s.Table; len(t) > 0; t = t[pieceRecordBytes:] {
			p := &piece{ref: ref{save: s.Save}}
			n := copy(p.sum[:], t)
			p.size = binary.LittleEndian.Uint32(t[n:])
			p.live = uint64(binary.LittleEndian.Uint32(t[n+4:]))
			if p.size == 0 || p.size > maxPieceBytes || pieces[p.sum] != nil {
				return nil, nil, fmt.Errorf("%w: a piece of %d bytes", errForm, p.size)
			}
			pieces[p.sum] = p
			order = append(order, p)
		}
	}
	if len(m.Parts)%4 != 0 {
		return nil, nil, fmt.Errorf("%w: a table of parts", errForm)
	}
	parts := make([]*piece, 0, len(m.Parts)/4)
	for t := m.Parts; len(t) > 0; t = t[4:] {
		at := binary.LittleEndian.Uint32(t)
		if int64(at) >= int64(len(order)) {
			return nil, nil, fmt.Errorf("%w: part %d of %d", errForm, at, len(order))
		}
		parts = append(parts, order[at])
	}
	return pieces, parts, nil
}

// write notes the pieces that are used, and the parts.
func (m *Manifest) write(pieces catalog, parts []*piece) {
	tables := map[string]int{} // of senders, in m.Pieces
	m.Pieces = nil
	for _, p := range sorted(pieces) {
		at, ok := tables[p.save]
		if !ok {
			at = len(m.Pieces)
			tables[p.save] = at
			m.Pieces = append(m.Pieces, sent{Save: p.save})
		}
		t := append(m.Pieces[at].Table, p.sum[:]...)
		t = binary.LittleEndian.AppendUint32(t, p.size)
		m.Pieces[at].Table = binary.LittleEndian.AppendUint32(t, uint32(min(p.live, uint64(p.size))))
	}
	numbers := map[sum]uint32{}
	var n uint32
	for _, s := range m.Pieces {
		for t := s.Table; len(t) > 0; t = t[pieceRecordBytes:] {
			numbers[sum(t)] = n
			n++
		}
	}
	m.Parts = nil
	for _, p := range parts {
		m.Parts = binary.LittleEndian.AppendUint32(m.Parts, numbers[p.sum])
	}
}

// saved is the manifest as whoever records the save needs it.
func (m *Manifest) saved() runtime.Saved {
	return runtime.Saved{Save: runtime.Save{Computer: m.Computer, Name: m.Name}, Image: m.Image, MadeAt: m.MadeAt, Bytes: m.Bytes}
}

// parseManifest reads a manifest as the store has it: compressed, with a sum.
func parseManifest(data []byte) (*Manifest, error) {
	unpacks, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxManifestBytes), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	defer unpacks.Close()
	plain, err := unpacks.DecodeAll(data, nil)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	var m Manifest
	if err := json.Unmarshal(plain, &m); err != nil {
		return nil, fmt.Errorf("%w: %w", errForm, err)
	}
	if m.Format != format {
		return nil, fmt.Errorf("%w: a save of format %d; this machine reads %d", runtime.ErrUnsupported, m.Format, format)
	}
	return &m, nil
}
