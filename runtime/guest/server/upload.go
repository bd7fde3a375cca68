package server

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"connectrpc.com/connect"
	"golang.org/x/sys/unix"
)

const (
	// maxUploads bounds the files of one request.
	maxUploads = 10_000
	// maxMetadataKeyBytes leaves room for metadataPrefix in a kernel's name.
	maxMetadataKeyBytes = 246
	// maxMetadataBytes bounds all keys and values of one file.
	maxMetadataBytes = 4096
	// metadataHeader begins the headers that become metadata.
	metadataHeader = "X-Metadata-"
)

// uploaded is one file in the answer to an upload.
type uploaded struct {
	Path     string            `json:"path"`
	Name     string            `json:"name"`
	Type     string            `json:"type"`
	Metadata map[string]string `json:"metadata,omitempty"`
}

// upload serves POST /files: parts of a form, or one file as the body.
func (s *Server) upload(w http.ResponseWriter, r *http.Request) {
	files, err := s.receive(r)
	if err != nil {
		failFile(w, err)
		return
	}
	answer(w, files)
}

func (s *Server) receive(r *http.Request) ([]uploaded, error) {
	query := r.URL.Query()
	user, err := s.accountNamed(query.Get("username"))
	if err != nil {
		return nil, err
	}
	metadata, err := metadataIn(r.Header)
	if err != nil {
		return nil, err
	}
	if err := unpack(r); err != nil {
		return nil, err
	}
	to := receiver{user: user, metadata: metadata, taken: make(map[string]bool)}
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	switch {
	case err != nil:
		return nil, invalid("Content-Type: %w", err)
	case kind == "multipart/form-data" && params["boundary"] != "":
		return to.parts(multipart.NewReader(r.Body, params["boundary"]), query.Get("path"))
	case kind == "application/octet-stream" && query.Get("path") == "":
		return nil, invalid("path is required with application/octet-stream")
	case kind == "application/octet-stream":
		err = to.file(query.Get("path"), r.Body)
		return to.files, err
	default:
		return nil, invalid("Content-Type must be multipart/form-data or application/octet-stream, not %s", kind)
	}
}

func invalid(format string, args ...any) error {
	return connect.NewError(connect.CodeInvalidArgument, fmt.Errorf(format, args...))
}

// unpack lets the body be read as it was before Content-Encoding.
func unpack(r *http.Request) error {
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
		return nil
	case "gzip":
		in, err := gzip.NewReader(r.Body)
		if err != nil {
			return invalid("the body is not gzip: %w", err)
		}
		r.Body = in
		return nil
	default:
		return invalid("Content-Encoding must be gzip, not %s", encoding)
	}
}

// metadataIn reads the headers that describe a file.
func metadataIn(h http.Header) (map[string]string, error) {
	found, size := map[string]string{}, 0
	for name, values := range h {
		if !strings.HasPrefix(name, metadataHeader) {
			continue
		}
		key, value := strings.ToLower(name[len(metadataHeader):]), values[0]
		if key == "" || len(key) > maxMetadataKeyBytes {
			return nil, invalid("the name in %s must have 1 to %d bytes", name, maxMetadataKeyBytes)
		}
		if strings.ContainsFunc(key+value, func(r rune) bool { return r < ' ' || r > '~' }) {
			return nil, invalid("%s must be printable ASCII", name)
		}
		size += len(key) + len(value)
		found[key] = value
	}
	if size > maxMetadataBytes {
		return nil, invalid("metadata has %d bytes, more than %d", size, maxMetadataBytes)
	}
	return found, nil
}

// receiver writes the files of one upload.
type receiver struct {
	user     account
	metadata map[string]string
	taken    map[string]bool
	files    []uploaded
}

// parts takes every part named file. path, if given, is where the only one
// goes; else each part's file name says it, directories included.
func (rc *receiver) parts(form *multipart.Reader, path string) ([]uploaded, error) {
	for {
		part, err := form.NextRawPart()
		if err == io.EOF && len(rc.files) == 0 { // a cut form wraps it
			return nil, invalid("the form has no part named file")
		}
		if err == io.EOF {
			return rc.files, nil
		}
		if err != nil {
			return nil, invalid("read the form: %w", err)
		}
		if part.FormName() != "file" {
			continue
		}
		target := path
		if target == "" {
			if target, err = fileNameOf(part.Header.Get("Content-Disposition")); err != nil {
				return nil, err
			}
		}
		if err := rc.file(target, part); err != nil {
			return nil, err
		}
	}
}

// fileNameOf reads a part's file name with its directories, which
// multipart.Part would take away.
func fileNameOf(disposition string) (string, error) {
	_, params, err := mime.ParseMediaType(disposition)
	if err != nil {
		return "", invalid("Content-Disposition: %w", err)
	}
	if params["filename"] == "" {
		return "", invalid("without a path in the query each part needs a file name")
	}
	return params["filename"], nil
}

// file writes one file and notes it.
func (rc *receiver) file(target string, content io.Reader) error {
	path, err := rc.user.resolve(target)
	if err != nil {
		return err
	}
	if rc.taken[path] {
		return invalid("%s is uploaded twice", path)
	}
	if len(rc.taken) == maxUploads {
		return invalid("more than %d files", maxUploads)
	}
	rc.taken[path] = true
	if err := rc.user.write(path, content); err != nil {
		return err
	}
	for key, value := range rc.metadata {
		if err := unix.Setxattr(path, metadataPrefix+key, []byte(value), 0); err != nil {
			return fmt.Errorf("store metadata of %s: %w", path, err)
		}
	}
	rc.files = append(rc.files, uploaded{path, filepath.Base(path), "file", rc.metadata})
	return nil
}

// write replaces what a file holds; a new one, and the directories above it,
// belong to the user.
func (a account) write(path string, content io.Reader) (err error) {
	if err := a.mkdirAll(filepath.Dir(path)); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NONBLOCK, 0o644)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.ENXIO) {
		return invalid("%s is not a regular file", path)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if info, err := f.Stat(); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return invalid("%s is not a regular file", path)
	}
	if err := f.Chown(int(a.UID), int(a.GID)); err != nil {
		return err
	}
	if _, err := io.Copy(f, content); err != nil {
		if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) || errors.Is(err, io.ErrUnexpectedEOF) {
			return invalid("the body ends early or is broken: %w", err)
		}
		return err
	}
	return nil
}
