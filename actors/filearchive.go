package actors

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

// archivePath is where an owner sends and takes archives of files.
const archivePath = "/computers/archive/"

// Unpacked is what came of an archive.
type Unpacked = workspace.Unpacked

// archives moves archives from and to the owners of computers.
type archives interface {
	Pack(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, name string, format workspace.Format) (io.ReadCloser, error)
	Unpack(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, into string, archive io.Reader) (Unpacked, error)
}

// Pack reads a directory or file of a computer as an archive, through any node,
// whether the computer runs or not. An archive that breaks off ends in an error
// other than io.EOF. Errors are those of Files.
func (s *Computers) Pack(ctx context.Context, c Caller, id state.ComputerID, name string, format workspace.Format) (io.ReadCloser, error) {
	packed, err := s.pack(ctx, c, id, name, format)
	if err == nil {
		s.diary.Note(ctx, state.FileRead, c.Account, id, name)
	}
	return packed, err
}

func (s *Computers) pack(ctx context.Context, c Caller, id state.ComputerID, name string, format workspace.Format) (io.ReadCloser, error) {
	return anew(ctx, s, c.Account, id, func() (io.ReadCloser, error) {
		blank, err := s.unclaimed(ctx, c.Account, id)
		if err != nil || blank {
			return packBlank(name, format, err)
		}
		owner, err := s.owner(ctx, c.Account, id)
		if err != nil {
			return nil, err
		}
		if owner != s.cluster.Self() {
			return s.remote.Pack(ctx, owner, c.Account, id, name, format)
		}
		return s.local.Pack(ctx, c.Account, id, name, format)
	})
}

// packBlank is the archive of a computer that has no disk yet.
func packBlank(name string, format workspace.Format, err error) (io.ReadCloser, error) {
	if _, err = blankResult(FileOp{Verb: workspace.List, Path: name}, err); err != nil {
		return nil, err
	}
	return piped(func(to io.Writer) error { return workspace.PackNothing(to, format) }, func() {}), nil
}

// piped reads what write writes, aside. Closing it ends write and waits for it;
// then comes done.
func piped(write func(io.Writer) error, done func()) io.ReadCloser {
	out, in := io.Pipe()
	p := &pipe{PipeReader: out}
	p.writing.Go(func() {
		defer done()
		in.CloseWithError(write(in)) // nil is io.EOF
	})
	return p
}

type pipe struct {
	*io.PipeReader
	writing sync.WaitGroup
}

func (p *pipe) Close() error {
	err := p.PipeReader.Close()
	p.writing.Wait()
	return err
}

// Pack reads files of a computer that this node owns.
func (l *local) Pack(ctx context.Context, account state.AccountID, id state.ComputerID, name string, format workspace.Format) (io.ReadCloser, error) {
	leave, err := l.streams.enter(id)
	if err != nil {
		return nil, err
	}
	leased, cancel := l.deps.lease(ctx)
	release := func() { cancel(); leave() }
	op := FileOp{Verb: workspace.List, Path: name}
	w, err := l.workspaceNow(leased, account, id, op)
	if err == nil && w != nil {
		if _, err = w.Stat(name); err != nil {
			w.Close()
			err = fileFault(err)
		}
	}
	if err != nil || w == nil {
		release()
		return packBlank(name, format, err)
	}
	return piped(func(to io.Writer) error {
		if err := w.Pack(leased, to, name, format); err != nil && leased.Err() != nil {
			return cutShort(ctx, err)
		} else if err != nil {
			return fileFault(err)
		}
		return nil
	}, func() { w.Close(); release() }), nil
}

// Unpack lays out an archive in a directory of a computer, through any node,
// whether the computer runs or not: all of it or, after an error, nothing.
// Entries that may not be there are passed over and told. Errors are those of
// Files, and what archive fails with.
func (s *Computers) Unpack(ctx context.Context, c Caller, id state.ComputerID, into string, archive io.Reader) (Unpacked, error) {
	if _, err := workspace.Clean(into); err != nil {
		return Unpacked{}, fault.New(fault.Invalid, "path: %w", err).WithField("path")
	}
	owner, err := s.ready(ctx, c, id)
	if err != nil {
		return Unpacked{}, err
	}
	s.diary.Note(ctx, state.FileWrite, c.Account, id, into)
	if owner != s.cluster.Self() {
		return s.remote.Unpack(ctx, owner, c.Account, id, into, archive)
	}
	return s.local.Unpack(ctx, c.Account, id, into, archive)
}

// Unpack lays out an archive in a computer that this node owns.
func (l *local) Unpack(ctx context.Context, account state.AccountID, id state.ComputerID, into string, archive io.Reader) (Unpacked, error) {
	leave, err := l.streams.enter(id)
	if err != nil {
		return Unpacked{}, err
	}
	defer leave()
	leased, cancel := l.deps.lease(ctx)
	defer cancel()
	w, err := l.workspaceNow(leased, account, id, FileOp{Verb: workspace.WriteBytes})
	if err != nil {
		return Unpacked{}, err
	}
	defer w.Close()
	from := &source{from: archive, most: workspace.MaxUnpackBytes}
	tree, err := w.Unpack(leased, from)
	if err == nil {
		if err = l.graft(leased, account, id, tree, into); err == nil {
			if err := tree.Close(); err != nil { // what was unpacked is there all the same
				l.deps.log.Warn("tidy up after an archive", "computer", string(id), "err", err)
			}
			return tree.Unpacked, nil
		}
		tree.Close()
	}
	return Unpacked{}, l.unwritten(ctx, leased, from, err)
}

// graft gives an archive's content its place, as adopt does a draft.
func (l *local) graft(ctx context.Context, account state.AccountID, id state.ComputerID, tree *workspace.Tree, into string) error {
	if err := l.still(ctx, account, id); err != nil {
		return err
	}
	w, err := l.workspaceNow(ctx, account, id, FileOp{Verb: workspace.WriteBytes})
	if err != nil {
		return err
	}
	defer w.Close()
	return w.Graft(ctx, tree, into)
}

func archiveURL(node state.NodeID, account state.AccountID, id state.ComputerID, query url.Values) string {
	return "https://" + string(node) + archivePath + string(account) + "/" + string(id) + "?" + query.Encode()
}

// Pack reads files of a computer that another node owns.
func (w *wire) Pack(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, name string, format workspace.Format) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, archiveURL(node, account, id, url.Values{"path": {name}, "format": {string(format)}}), nil)
	if err != nil {
		return nil, fmt.Errorf("ask node %s: %w", node, err)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return nil, ownerAway(node, err)
	}
	if res.StatusCode != http.StatusOK {
		return nil, refused(res)
	}
	return res.Body, nil
}

func (l *local) serveArchive(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	archive, err := l.Pack(r.Context(), state.AccountID(r.PathValue("account")), state.ComputerID(r.PathValue("computer")),
		query.Get("path"), workspace.Format(query.Get("format")))
	if err != nil {
		refuse(w, err)
		return
	}
	defer archive.Close()
	w.WriteHeader(http.StatusOK)
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{archive}, make([]byte, streamPiece)); err != nil {
		panic(http.ErrAbortHandler) // an archive that was cut must not look like one that ended
	}
}

// Unpack lays out an archive in a computer that another node owns.
func (w *wire) Unpack(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, into string, archive io.Reader) (done Unpacked, err error) {
	body := &source{from: archive, most: workspace.MaxUnpackBytes}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, archiveURL(node, account, id, url.Values{"path": {into}}), body)
	if err != nil {
		return done, fmt.Errorf("ask node %s: %w", node, err)
	}
	res, err := w.client.Do(req)
	failed := body.end()
	switch {
	case err != nil && failed != nil:
		return done, failed
	case err != nil:
		return done, ownerAway(node, err)
	case res.StatusCode != http.StatusOK:
		return done, refused(res)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxFileAnswer)).Decode(&done); err != nil {
		return done, fault.New(fault.Unavailable, "the computer's owner went away: %w", err).WithRetry(retryMailbox)
	}
	return done, nil
}

func (l *local) takeArchive(w http.ResponseWriter, r *http.Request) {
	done, err := l.Unpack(r.Context(), state.AccountID(r.PathValue("account")), state.ComputerID(r.PathValue("computer")), r.URL.Query().Get("path"), r.Body)
	if err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
	_ = json.NewEncoder(w).Encode(done) // a caller that is gone reads nothing
}
