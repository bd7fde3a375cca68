package actors

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// contentPath is where an owner sends and takes the contents of files.
	contentPath = "/computers/content/"
	// infoHeader tells of a file whose content is the answer's body.
	infoHeader = "Bothy-File"
	// placeTrailer says where the content goes that came before it.
	placeTrailer = "Bothy-Place"
	// maxFileAnswer bounds what an owner says of what it wrote.
	maxFileAnswer = 1 << 20
	// streamPiece is how much of a content is passed on at once.
	streamPiece = 256 << 10
)

func contentURL(node state.NodeID, account state.AccountID, id state.ComputerID) string {
	return "https://" + string(node) + contentPath + string(account) + "/" + string(id)
}

// openPiece opens a part of a file of a computer that another node owns.
func (w *wire) openPiece(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, p piece) (info FileInfo, _ io.ReadCloser, err error) {
	query := url.Values{"path": {p.Path}, "offset": {strconv.FormatInt(p.Offset, 10)}, "length": {strconv.FormatInt(p.Length, 10)}, "stamp": {p.Stamp}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, contentURL(node, account, id)+"?"+query.Encode(), nil)
	if err != nil {
		return info, nil, fmt.Errorf("ask node %s: %w", node, err)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return info, nil, ownerAway(node, err)
	}
	if res.StatusCode != http.StatusOK {
		return info, nil, refused(res)
	}
	if err := readHeader(res.Header.Get(infoHeader), &info); err != nil {
		res.Body.Close()
		return info, nil, fault.New(fault.Internal, "node %s tells of no file: %w", node, err)
	}
	return info, res.Body, nil
}

func ownerAway(node state.NodeID, err error) error {
	return fault.New(fault.Unavailable, "reach the computer's files through node %s: %w", node, err).WithRetry(retryMailbox)
}

// writeHeader and readHeader carry a value in a header, which knows no other
// letters than ASCII's.
func writeHeader(v any) (string, error) {
	b, err := json.Marshal(v)
	return base64.StdEncoding.EncodeToString(b), err
}

func readHeader(text string, into any) error {
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, into)
}

// serveContent sends a part of a file to another node.
func (l *local) serveContent(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	p := piece{Path: query.Get("path"), Stamp: query.Get("stamp")}
	var offsetErr, lengthErr error
	p.Offset, offsetErr = strconv.ParseInt(query.Get("offset"), 10, 64)
	p.Length, lengthErr = strconv.ParseInt(query.Get("length"), 10, 64)
	if err := errors.Join(offsetErr, lengthErr); err != nil {
		refuse(w, fault.New(fault.Invalid, "read what part is asked for: %w", err))
		return
	}
	info, part, err := l.openPiece(r.Context(), state.AccountID(r.PathValue("account")), state.ComputerID(r.PathValue("computer")), p)
	if err != nil {
		refuse(w, err)
		return
	}
	defer part.Close()
	head, err := writeHeader(info)
	if err != nil {
		refuse(w, err)
		return
	}
	w.Header().Set(infoHeader, head)
	w.WriteHeader(http.StatusOK)
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, part, make([]byte, streamPiece)); err != nil {
		panic(http.ErrAbortHandler) // a part that was cut must not look like one that ended
	}
}

// PutFile writes a file of a computer that another node owns.
func (w *wire) PutFile(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, content io.Reader, place func() (Place, error)) (info FileInfo, err error) {
	trailer := http.Header{placeTrailer: nil}
	body := &source{from: content, most: MaxFileBytes, last: func() error {
		to, err := place()
		if err != nil {
			return err
		}
		text, err := writeHeader(to)
		trailer.Set(placeTrailer, text)
		return err
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, contentURL(node, account, id), body)
	if err != nil {
		return info, fmt.Errorf("ask node %s: %w", node, err)
	}
	req.Trailer = trailer
	res, err := w.client.Do(req)
	failed := body.end()
	switch {
	case err != nil && failed != nil:
		return info, failed
	case err != nil:
		return info, ownerAway(node, err)
	case res.StatusCode != http.StatusOK:
		return info, refused(res)
	}
	defer res.Body.Close()
	if err := json.NewDecoder(io.LimitReader(res.Body, maxFileAnswer)).Decode(&info); err != nil {
		return info, fault.New(fault.Unavailable, "the computer's owner went away: %w", err).WithRetry(retryMailbox)
	}
	return info, nil
}

// takeContent writes a file for another node.
func (l *local) takeContent(w http.ResponseWriter, r *http.Request) {
	place := func() (to Place, err error) {
		if err := readHeader(r.Trailer.Get(placeTrailer), &to); err != nil {
			return to, fault.New(fault.Invalid, "read where a file goes: %w", err)
		}
		return to, nil
	}
	info, err := l.PutFile(r.Context(), state.AccountID(r.PathValue("account")), state.ComputerID(r.PathValue("computer")), r.Body, place)
	if err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
	_ = json.NewEncoder(w).Encode(info) // a caller that is gone reads nothing
}
