package blob

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/bothy-computer/bothy/runtime"
)

const (
	// MaxPutBytes bounds a blob that is put into another machine's store.
	MaxPutBytes = 64 << 20
	// maxAnswerBytes bounds what is read of a refusal.
	maxAnswerBytes = 4 << 10
)

// Parameters of a request to a store's handler.
const (
	keyParameter = "key"
	dirParameter = "dir"
)

// Remote is a store of another machine, which serves it by Serve. Blobs are put,
// read and listed through it; Make and Delete are runtime.ErrUnsupported. What
// fails, other than as Store says, is runtime.ErrNoInbox.
type Remote struct{ client http.Client }

// NewRemote is the store at the end of way.
func NewRemote(way http.RoundTripper) *Remote { return &Remote{http.Client{Transport: way}} }

func (r *Remote) String() string { return "another machine" }

// Put implements Store.
func (r *Remote) Put(ctx context.Context, key string, data []byte) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if len(data) > MaxPutBytes {
		return tooLarge(key, MaxPutBytes)
	}
	body, err := r.do(ctx, http.MethodPut, keyParameter, key, data)
	if err != nil {
		return fmt.Errorf("put a blob: %w", err)
	}
	return body.Close()
}

// Make implements Store.
func (r *Remote) Make(context.Context, string, []byte) error { return errOnlySends }

// Delete implements Store.
func (r *Remote) Delete(context.Context, []string) error { return errOnlySends }

var errOnlySends = fmt.Errorf("%w: another machine's store is only added to", runtime.ErrUnsupported)

// Get implements Store.
func (r *Remote) Get(ctx context.Context, key string, maxBytes int64) ([]byte, error) {
	if err := checkKey(key); err != nil {
		return nil, err
	}
	body, err := r.do(ctx, http.MethodGet, keyParameter, key, nil)
	if err != nil {
		return nil, fmt.Errorf("get a blob: %w", err)
	}
	defer body.Close()
	data, err := io.ReadAll(io.LimitReader(body, maxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("get a blob: %w", gone(ctx, err))
	}
	if int64(len(data)) > maxBytes {
		return nil, tooLarge(key, maxBytes)
	}
	return data, nil
}

// List implements Store.
func (r *Remote) List(ctx context.Context, dir string, visit func(Entry) error) error {
	if err := checkDir(dir); err != nil {
		return err
	}
	body, err := r.do(ctx, http.MethodGet, dirParameter, dir, nil)
	if err != nil {
		return fmt.Errorf("list blobs: %w", err)
	}
	defer body.Close()
	lines := json.NewDecoder(body)
	for {
		var e Entry
		err := lines.Decode(&e)
		switch {
		case err != nil:
			return fmt.Errorf("list blobs: %w", gone(ctx, err))
		case e.Name == "": // the end: without it the list was cut
			return nil
		}
		if err := visit(e); err != nil {
			return err
		}
	}
}

func (r *Remote) do(ctx context.Context, method, parameter, value string, data []byte) (io.ReadCloser, error) {
	at := url.URL{Scheme: "https", Host: "inbox", Path: "/", RawQuery: url.Values{parameter: {value}}.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, at.String(), bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	res, err := r.client.Do(req)
	if err != nil {
		return nil, gone(ctx, err)
	}
	if res.StatusCode == http.StatusOK {
		return res.Body, nil
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, maxAnswerBytes))
	for _, s := range statuses {
		if s.status == res.StatusCode {
			return nil, errors.Join(fmt.Errorf("%w: %s", s.err, text), err)
		}
	}
	return nil, errors.Join(fmt.Errorf("%w: %s: %s", runtime.ErrNoInbox, res.Status, text), err)
}

// gone is a connection that failed, unless the caller ended it.
func gone(ctx context.Context, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	var at *url.Error
	if errors.As(err, &at) { // its address is made up
		err = at.Err
	}
	return fmt.Errorf("%w: %w", runtime.ErrNoInbox, err)
}

// statuses are the failures that a caller acts on, as they go between machines.
var statuses = []struct {
	err    error
	status int
}{
	{ErrNotFound, http.StatusNotFound},
	{runtime.ErrFull, http.StatusInsufficientStorage},
	{runtime.ErrInvalid, http.StatusBadRequest},
}
