package actors

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// MaxFileBytes bounds a file that is written; the computer's storage may do
	// so sooner.
	MaxFileBytes = workspace.MaxFileBytes
	// maxFileStreams bounds the contents that a node reads or writes at once, each
	// of which holds a buffer and an open file; maxFileStreamsEach those of one
	// computer.
	maxFileStreams     = 256
	maxFileStreamsEach = 32
	// firstPiece is how much is asked for at first from a place in a file: who
	// wants a small range is not sent the rest.
	firstPiece = 256 << 10
)

// contents moves the contents of files from and to the owners of computers.
type contents interface {
	openPiece(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, p piece) (FileInfo, io.ReadCloser, error)
	PutFile(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, content io.Reader, place func() (Place, error)) (FileInfo, error)
}

// FileInfo tells of a file of a computer.
type FileInfo struct {
	Path      string      `json:"path"` // in the workspace
	SizeBytes int64       `json:"size_bytes"`
	Mode      fs.FileMode `json:"mode"`
	Modified  time.Time   `json:"modified"`
	// Stamp changes whenever the content may have.
	Stamp string `json:"stamp"`
}

func infoOf(e workspace.Entry) FileInfo {
	return FileInfo{e.Path, e.SizeBytes, e.Mode, e.Modified.UTC(), e.Stamp}
}

// piece is a part of a file that is asked for.
type piece struct {
	Path   string
	Offset int64
	Length int64  // 0 or less tells of the file alone
	Stamp  string // that the file must still have; "" for any
}

// FileReader reads a computer's file as it was when it was opened, from any
// place. It fails with Conflict when the file changes before a further part is
// asked for. Its methods are for one goroutine.
type FileReader struct {
	Info FileInfo
	open func(piece) (FileInfo, io.ReadCloser, error)
	at   int64
	part io.ReadCloser // what comes at at; nil while nothing is open
	left int64         // of part
	next int64         // how much to ask for then
}

// OpenFile opens a file of a computer, through any node, whether the computer
// runs or not, and as Files does in all else. ctx bounds all reading. Errors are
// those of Files.
func (s *Computers) OpenFile(ctx context.Context, c Caller, id state.ComputerID, name string) (*FileReader, error) {
	r, err := s.openFile(ctx, c, id, name)
	if err == nil {
		s.diary.Note(ctx, state.FileRead, c.Account, id, name)
	}
	return r, err
}

// openFile is OpenFile for what the audit log is not told of.
func (s *Computers) openFile(ctx context.Context, c Caller, id state.ComputerID, name string) (*FileReader, error) {
	r := &FileReader{next: firstPiece}
	r.open = func(p piece) (FileInfo, io.ReadCloser, error) {
		var info FileInfo
		part, err := anew(ctx, s, c.Account, id, func() (part io.ReadCloser, err error) {
			info, part, err = s.openPiece(ctx, c.Account, id, p)
			return part, err
		})
		return info, part, err
	}
	info, part, err := r.open(piece{Path: name})
	if err != nil {
		return nil, err
	}
	r.Info = info
	return r, part.Close()
}

func (s *Computers) openPiece(ctx context.Context, account state.AccountID, id state.ComputerID, p piece) (FileInfo, io.ReadCloser, error) {
	blank, err := s.unclaimed(ctx, account, id)
	if err == nil && blank {
		_, err = blankResult(FileOp{Verb: workspace.ReadBytes, Path: p.Path}, nil)
	}
	if err != nil {
		return FileInfo{}, nil, err
	}
	owner, err := s.owner(ctx, account, id)
	if err != nil {
		return FileInfo{}, nil, err
	}
	if owner != s.cluster.Self() {
		return s.remote.openPiece(ctx, owner, account, id, p)
	}
	return s.local.openPiece(ctx, account, id, p)
}

// Read implements io.Reader.
func (r *FileReader) Read(b []byte) (int, error) {
	if r.at >= r.Info.SizeBytes {
		return 0, io.EOF
	}
	if r.part == nil {
		length := min(r.next, r.Info.SizeBytes-r.at)
		_, part, err := r.open(piece{r.Info.Path, r.at, length, r.Info.Stamp})
		if err != nil {
			return 0, err
		}
		r.part, r.left, r.next = part, length, r.Info.SizeBytes
	}
	n, err := r.part.Read(b[:min(int64(len(b)), r.left)])
	r.at, r.left = r.at+int64(n), r.left-int64(n)
	switch {
	case r.left == 0:
		err = r.drop()
	case errors.Is(err, io.EOF):
		err = fault.New(fault.Conflict, "%s became shorter while it was read", r.Info.Path)
	}
	return n, err
}

func (r *FileReader) drop() error {
	if r.part == nil {
		return nil
	}
	err := r.part.Close()
	r.part = nil
	return err
}

// Seek implements io.Seeker.
func (r *FileReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.Info.SizeBytes
	}
	if offset < 0 {
		return 0, fmt.Errorf("seek in %s: %w", r.Info.Path, os.ErrInvalid)
	}
	if offset == r.at {
		return offset, nil
	}
	r.at, r.next = offset, firstPiece
	return offset, r.drop()
}

// Close lets the file go.
func (r *FileReader) Close() error { return r.drop() }

// openPiece opens a part of a file of a computer that this node owns.
func (l *local) openPiece(ctx context.Context, account state.AccountID, id state.ComputerID, p piece) (info FileInfo, _ io.ReadCloser, err error) {
	leave, err := l.streams.enter(id)
	if err != nil {
		return info, nil, err
	}
	leased, cancel := l.deps.lease(ctx)
	release := sync.OnceFunc(func() { cancel(); leave() })
	defer func() {
		if err != nil {
			release()
		}
	}()
	op := FileOp{Verb: workspace.ReadBytes, Path: p.Path}
	w, err := l.workspaceNow(leased, account, id, op)
	if err != nil || w == nil {
		_, err = blankResult(op, err)
		return info, nil, err
	}
	defer w.Close()
	file, entry, err := w.Open(p.Path)
	if err != nil {
		return info, nil, fileFault(err)
	}
	info = infoOf(entry)
	if p.Stamp != "" && p.Stamp != entry.Stamp {
		file.Close()
		return info, nil, fault.New(fault.Conflict, "%s changed while it was read", entry.Path)
	}
	part := io.NewSectionReader(file, p.Offset, max(0, p.Length))
	return info, &heldFile{ctx: leased, from: part, file: file, release: release}, nil
}

// workspaceNow is workspace for who may act just now.
func (l *local) workspaceNow(ctx context.Context, account state.AccountID, id state.ComputerID, op FileOp) (*workspace.FS, error) {
	if err := l.deps.held(); err != nil {
		return nil, err
	}
	return l.workspace(ctx, account, id, op)
}

// heldFile is read while this node may act on its computer.
type heldFile struct {
	ctx     context.Context
	from    io.Reader
	file    io.Closer
	release func()
}

func (h *heldFile) Read(b []byte) (int, error) {
	if h.ctx.Err() != nil {
		return 0, fault.New(fault.Unavailable, "the file cannot be read any longer: %w", context.Cause(h.ctx)).WithRetry(retryMailbox)
	}
	return h.from.Read(b)
}

func (h *heldFile) Close() error {
	defer h.release()
	return h.file.Close()
}

// Place is where a file goes.
type Place struct {
	Path string      `json:"path"`
	Mode fs.FileMode `json:"mode,omitempty"` // 0: as the file that is replaced, or 0644
}

// PutFile writes a file of a computer, through any node, whether the computer
// runs or not. Where it goes is asked for when the content has ended. Nothing of
// it is to be seen before it is whole, and nothing is left of one that does not
// become whole. Errors are those of Files, and what content and place fail with.
func (s *Computers) PutFile(ctx context.Context, c Caller, id state.ComputerID, content io.Reader, place func() (Place, error)) (FileInfo, error) {
	info, err := s.putFile(ctx, c, id, content, place)
	if err == nil {
		s.diary.Note(ctx, state.FileWrite, c.Account, id, info.Path)
	}
	return info, err
}

// putFile is PutFile for what the audit log is not told of.
func (s *Computers) putFile(ctx context.Context, c Caller, id state.ComputerID, content io.Reader, place func() (Place, error)) (FileInfo, error) {
	owner, err := s.ready(ctx, c, id)
	if err != nil {
		return FileInfo{}, err
	}
	if owner != s.cluster.Self() {
		return s.remote.PutFile(ctx, owner, c.Account, id, content, place)
	}
	return s.local.PutFile(ctx, c.Account, id, content, place)
}

// ready finds the owner of a computer and has it lay the disk, before a content
// is sent that can be sent only once.
func (s *Computers) ready(ctx context.Context, c Caller, id state.ComputerID) (state.NodeID, error) {
	// The workspace itself is always there: making it makes its disk alone.
	if _, err := s.operate(ctx, c, id, FileOp{Verb: workspace.Mkdir, Path: ".", Recursive: true}); err != nil {
		return "", err
	}
	return s.owner(ctx, c.Account, id)
}

// PutFile writes a file of a computer that this node owns.
func (l *local) PutFile(ctx context.Context, account state.AccountID, id state.ComputerID, content io.Reader, place func() (Place, error)) (FileInfo, error) {
	leave, err := l.streams.enter(id)
	if err != nil {
		return FileInfo{}, err
	}
	defer leave()
	leased, cancel := l.deps.lease(ctx)
	defer cancel()
	op := FileOp{Verb: workspace.WriteBytes}
	w, err := l.workspaceNow(leased, account, id, op)
	if err != nil {
		return FileInfo{}, err
	}
	defer w.Close()
	source := &source{from: content, most: MaxFileBytes}
	draft, err := w.Draft(leased, source, MaxFileBytes)
	if err != nil {
		return FileInfo{}, l.unwritten(ctx, leased, source, err)
	}
	defer draft.Close()
	to, err := place()
	if err != nil {
		return FileInfo{}, err
	}
	op.Path = to.Path
	entry, err := l.adopt(leased, account, id, draft, to)
	if err != nil {
		return FileInfo{}, l.unwritten(ctx, leased, source, err)
	}
	return infoOf(entry), nil
}

// adopt gives a draft its place. It may have taken long to come: whether this
// node still has the computer is asked anew.
func (l *local) adopt(ctx context.Context, account state.AccountID, id state.ComputerID, draft *workspace.Draft, to Place) (workspace.Entry, error) {
	if err := l.still(ctx, account, id); err != nil {
		return workspace.Entry{}, err
	}
	w, err := l.workspaceNow(ctx, account, id, FileOp{Verb: workspace.WriteBytes})
	if err != nil {
		return workspace.Entry{}, err
	}
	defer w.Close()
	done, err := l.files.turn(ctx, id, to.Path)
	if err != nil {
		return workspace.Entry{}, err
	}
	defer done()
	return w.Adopt(ctx, draft, to.Path, to.Mode)
}

// still confirms that a computer is this node's.
func (l *local) still(ctx context.Context, account state.AccountID, id state.ComputerID) error {
	c, err := view(ctx, l.deps.cluster, func(v *state.View) (state.Computer, error) { return v.Computer(account, id) })
	if err == nil && c.Node != l.deps.cluster.Self() {
		err = fault.New(fault.Unavailable, "computer %s went to another node meanwhile; try again", id).WithRetry(retryMailbox)
	}
	return err
}

// unwritten says why nothing was written.
func (l *local) unwritten(ctx, leased context.Context, from *source, err error) error {
	if failed := from.end(); failed != nil {
		return failed // the sender's own words
	}
	if leased.Err() != nil {
		return cutShort(ctx, err)
	}
	return fileFault(err)
}

// source is a content of at most so many bytes that remembers why it failed. Who
// sends it elsewhere may be answered before it is at its end: see end.
type source struct {
	from io.Reader
	most int64
	// last is done when the content has ended, and may fail it; nil does nothing.
	last func() error

	mu     sync.Mutex // held while it is read
	read   int64
	failed error
	ended  bool
}

func (s *source) Read(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, fs.ErrClosed
	}
	n, err := s.from.Read(b)
	if s.read += int64(n); s.read > s.most {
		err = fault.New(fault.TooLarge, "A file or archive may have %d bytes", s.most)
	}
	if err == io.EOF && s.last != nil {
		if failed := s.last(); failed != nil {
			err = failed
		}
	}
	if err != nil && err != io.EOF {
		s.failed = err
	}
	return n, err
}

// end says why the content failed, if it did. Nobody reads on after it, not even
// a transport that has its answer.
func (s *source) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	return s.failed
}
