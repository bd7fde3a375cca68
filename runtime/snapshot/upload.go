package snapshot

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"github.com/bothy-computer/bothy/runtime"
)

// line is a node's way into a store, which all saves of the node share.
type line struct {
	slots chan struct{}
	rate  *rate.Limiter
	packs *zstd.Encoder
	// unpacks is for pieces: it makes nothing larger than they are.
	unpacks *zstd.Decoder
}

func newLine(uploads int, bandwidth int64) (*line, error) {
	packs, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(uploads), zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, err
	}
	unpacks, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxPieceBytes), zstd.WithDecoderConcurrency(downloads), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, err
	}
	l := &line{slots: make(chan struct{}, uploads), rate: rate.NewLimiter(rate.Inf, 0), packs: packs, unpacks: unpacks}
	if bandwidth > 0 {
		l.rate = rate.NewLimiter(rate.Limit(bandwidth), int(min(max(bandwidth, 1<<10), math.MaxInt32)))
	}
	return l, nil
}

// wait waits until so many bytes may go.
func (l *line) wait(ctx context.Context, bytes int) error {
	for bytes > 0 {
		n := bytes
		if l.rate.Limit() != rate.Inf {
			n = min(n, l.rate.Burst())
		}
		if err := l.rate.WaitN(ctx, n); err != nil {
			return err
		}
		bytes -= n
	}
	return nil
}

// uploads are the pieces of one save.
type uploads struct {
	s       *Saver
	ctx     context.Context // ends with the first piece that fails
	group   *errgroup.Group
	to      runtime.Save
	pieces  catalog
	packing []byte
	pack    *piece // of what is in packing; its sum is not known yet
	sent    atomic.Int64
}

// piece sends a piece that the store does not have. It may still be on its way
// when it returns. The caller does not write to data again.
func (u *uploads) piece(data []byte) (*piece, error) {
	name := sum(sha256.Sum256(data))
	p := u.pieces[name]
	if p == nil {
		p = &piece{ref: ref{u.to.Name, name}}
		u.pieces[name] = p
		if err := u.send(p, data); err != nil {
			return nil, err
		}
	}
	p.size = uint32(len(data))
	return p, nil
}

func (u *uploads) send(p *piece, data []byte) error {
	select {
	case u.s.line.slots <- struct{}{}:
	case <-u.ctx.Done():
		return context.Cause(u.ctx)
	}
	u.group.Go(func() error {
		defer func() { <-u.s.line.slots }()
		return u.put(pieceKey(u.to.Computer, p.ref), data)
	})
	return nil
}

func (u *uploads) put(key string, plain []byte) error {
	data := u.s.line.packs.EncodeAll(plain, make([]byte, 0, len(plain)/2+1024))
	if err := u.s.line.wait(u.ctx, len(data)); err != nil {
		return fmt.Errorf("wait for bandwidth: %w", err)
	}
	ctx, cancel := context.WithTimeout(u.ctx, storeTime)
	defer cancel()
	if err := u.s.store.Put(ctx, key, data); err != nil {
		return err
	}
	u.sent.Add(int64(len(data)))
	return nil
}

// full reports whether the pack has no room for so many bytes more.
func (u *uploads) full(bytes int) bool { return len(u.packing)+bytes > chunkBytes }

// packed puts content together with other content, and reports where in the
// pack it begins. The piece has no name until flush.
func (u *uploads) packed(data []byte) (p *piece, from int64) {
	if u.pack == nil {
		u.pack = &piece{}
	}
	at := int64(len(u.packing))
	u.packing = append(u.packing, data...)
	return u.pack, at
}

// flush sends the pack, and reports which piece it was until now and which one
// it is.
func (u *uploads) flush() (was, is *piece, err error) {
	if u.pack == nil {
		return nil, nil, nil
	}
	if is, err = u.piece(u.packing); err != nil {
		return nil, nil, err
	}
	was, u.pack, u.packing = u.pack, nil, nil
	return was, is, nil
}

// putManifest makes a save, whose pieces are all there.
func (s *Saver) putManifest(ctx context.Context, m *Manifest) (int64, error) {
	plain, err := json.Marshal(m)
	if err != nil {
		return 0, err
	}
	if len(plain) > maxManifestBytes {
		return 0, fmt.Errorf("%w: its list of pieces is larger than %d bytes", runtime.ErrInvalid, maxManifestBytes)
	}
	data := s.line.packs.EncodeAll(plain, nil)
	if err := s.line.wait(ctx, len(data)); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	return int64(len(data)), s.store.Put(ctx, saveKey(runtime.Save{Computer: m.Computer, Name: m.Name}), data)
}
