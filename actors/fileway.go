package actors

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
)

const (
	// filesPath is where an owner takes operations on files from other nodes.
	filesPath = "/computers/files/"
	// maxFileResult bounds what an owner answers: a content, or a listing with
	// all its paths and names.
	maxFileResult = 64 << 20
)

// Files does an operation on a computer that another node owns. Operation and
// result go as CBOR, in which content is not encoded again.
func (w *wire) Files(ctx context.Context, node state.NodeID, account state.AccountID, id state.ComputerID, op FileOp) (FileResult, error) {
	body, err := state.Encode(op)
	if err != nil {
		return FileResult{}, fmt.Errorf("encode an operation on files: %w", err)
	}
	if len(body) > MaxFileOpBytes {
		return FileResult{}, fault.New(fault.TooLarge, "the operation is %d bytes; the limit is %d", len(body), MaxFileOpBytes)
	}
	url := "https://" + string(node) + filesPath + string(account) + "/" + string(id)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return FileResult{}, fmt.Errorf("ask node %s: %w", node, err)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return FileResult{}, fault.New(fault.Unavailable, "reach the computer's files through node %s: %w", node, err).WithRetry(retryMailbox)
	}
	if res.StatusCode != http.StatusOK {
		return FileResult{}, refused(res)
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxFileResult+1))
	if err == nil && len(answer) > maxFileResult {
		return FileResult{}, fault.New(fault.Internal, "the owner's answer is over %d bytes", maxFileResult)
	}
	var result FileResult
	if err == nil {
		err = state.Decode(answer, &result)
	}
	if err != nil {
		return FileResult{}, fault.New(fault.Unavailable, "the computer's owner went away: %w", err).WithRetry(retryMailbox)
	}
	return result, nil
}

// serveFiles does an operation for another node, on a computer this one owns. It
// has its place before it is read: the room bounds the contents in memory.
func (l *local) serveFiles(w http.ResponseWriter, r *http.Request) {
	account, id := state.AccountID(r.PathValue("account")), state.ComputerID(r.PathValue("computer"))
	leave, err := l.files.enter(id)
	if err != nil {
		refuse(w, err)
		return
	}
	defer leave()
	var op FileOp
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, MaxFileOpBytes))
	if err == nil {
		err = state.Decode(body, &op)
	}
	if err != nil {
		refuse(w, fault.New(fault.Invalid, "read an operation on files: %w", err))
		return
	}
	result, err := l.filesIn(r.Context(), account, id, op)
	if err == nil {
		body, err = state.Encode(result)
	}
	if err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(body) // a caller that is gone reads nothing
}
