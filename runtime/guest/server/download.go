package server

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

// download serves GET /files: one regular file, in ranges or compressed when
// the client asks.
func (s *Server) download(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	user, err := s.accountNamed(query.Get("username"))
	if err != nil {
		failFile(w, err)
		return
	}
	path, err := user.resolve(query.Get("path"))
	if err != nil {
		failFile(w, err)
		return
	}
	compress, ok := encodingOf(r.Header)
	if !ok {
		fail(w, http.StatusNotAcceptable, errors.New("files come as they are or as gzip"))
		return
	}
	f, info, err := openRegular(path)
	if err != nil {
		failFile(w, err)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Disposition", mime.FormatMediaType("inline", map[string]string{"filename": filepath.Base(path)}))
	w.Header().Add("Vary", "Accept-Encoding")
	if compress && r.Header.Get("Range") == "" && info.Size() > 0 {
		sendCompressed(w, f)
		return
	}
	http.ServeContent(w, r, "", info.ModTime(), f)
}

// openRegular opens a file without waiting for the other side of a pipe.
func openRegular(path string) (*os.File, fs.FileInfo, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("%s is not a regular file", path))
	}
	if err != nil {
		f.Close()
		return nil, nil, err
	}
	return f, info, nil
}

func sendCompressed(w http.ResponseWriter, f io.Reader) {
	w.Header().Set("Content-Encoding", "gzip")
	out, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err == nil {
		_, err = io.Copy(out, f)
	}
	if err == nil {
		err = out.Close()
	}
	if err != nil {
		panic(http.ErrAbortHandler) // the status is out; only a cut stream can still tell the client
	}
}

// encodingOf reads Accept-Encoding: whether gzip is wanted, and whether
// anything that can be sent is accepted.
func encodingOf(h http.Header) (compress, ok bool) {
	identity, wildcard := -1.0, -1.0
	zip := -1.0
	for _, item := range strings.Split(strings.Join(h.Values("Accept-Encoding"), ","), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(item), ";")
		weight := 1.0
		if q, found := strings.CutPrefix(strings.TrimSpace(params), "q="); found {
			parsed, err := strconv.ParseFloat(q, 64)
			if err != nil {
				continue
			}
			weight = parsed
		}
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "gzip":
			zip = weight
		case "identity":
			identity = weight
		case "*":
			wildcard = weight
		}
	}
	if identity < 0 {
		if identity = 0.001; wildcard == 0 { // accepted unless refused, and liked least
			identity = 0
		}
	}
	if zip < 0 {
		zip = 0
	}
	return zip > 0 && zip >= identity, zip > 0 || identity > 0
}

// failFile answers a failure of a transfer.
func failFile(w http.ResponseWriter, err error) {
	err = misfiled(err)
	status := statusOf(connect.CodeOf(err).String())
	if errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT) {
		status = http.StatusInsufficientStorage
	}
	var known *connect.Error
	if errors.As(err, &known) {
		err = errors.New(known.Message())
	}
	fail(w, status, err)
}
