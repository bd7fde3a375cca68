package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime/multipart"
	"net/http"
	"net/url"
	"strings"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

// Archives moves directories and files of any size from and to one computer, as
// tars, whether it runs or not.
type Archives struct {
	c    *Client
	path string
}

// Archives are those of an environment's computer.
func (e Environments) Archives(id string) Archives {
	return Archives{e.c, path("environments", id, "files", "archive")}
}

// Archives are those of a computer, by its id or handle. Unlike the other calls
// of Computers they need the scope computers:write alone.
func (m Computers) Archives(id string) Archives {
	return Archives{m.c, path("computers", id, "files", "archive")}
}

// Pack reads a directory or file as a tar. Entries are named from the directory
// on, which is itself the first, as "./"; a file is the only one. A tar that
// breaks off ends in an error other than io.EOF.
func (a Archives) Pack(ctx context.Context, name string) (io.ReadCloser, error) {
	resp, err := a.c.send(ctx, request{method: http.MethodGet, path: a.path + "?" + url.Values{"path": {name}, "format": {"tar"}}.Encode()}, "")
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Unpacked is what came of a tar.
type Unpacked struct {
	Files, Directories int
	Bytes              int64
	Skipped            int              // entries that were passed over
	Skips              []wire.FileError // the first of them
}

// Unpack lays out a tar in a directory, all of it or nothing. It is sent once.
func (a Archives) Unpack(ctx context.Context, into string, tar io.Reader) (Unpacked, error) {
	var reply struct { // of either door
		Count, Files, Directories, Skipped int
		Size, Bytes                        int64
		Errors                             []wire.FileError
		Skips                              []struct{ Name, Why string }
	}
	err := a.c.upload(ctx, a.path+"?"+url.Values{"path": {into}}.Encode(), "application/x-tar", tar, &reply)
	done := Unpacked{Files: reply.Count + reply.Files, Directories: reply.Directories, Bytes: reply.Size + reply.Bytes, Skipped: reply.Skipped, Skips: reply.Errors}
	for _, s := range reply.Skips {
		done.Skips = append(done.Skips, wire.FileError{Path: s.Name, Error: s.Why})
	}
	return done, err
}

// upload posts a body that can be sent only once.
func (c *Client) upload(ctx context.Context, path, contentType string, body io.Reader, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.base()+path, struct{ io.Reader }{body})
	if err != nil {
		return fault.New(fault.Invalid, "upload: %w", err)
	}
	c.dress(req, request{}, false)
	req.Header.Set("Content-Type", contentType)
	resp, err := c.HTTP.Do(req)
	if err != nil {
		return unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(resp)
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxReplyBytes)).Decode(into); err != nil {
		return unreachable(err)
	}
	return nil
}

// Files are those of an environment's computer. Paths are from the workspace on.
type Files struct {
	c  *Client
	id string
}

// Files are those of an environment's computer.
func (e Environments) Files(id string) Files { return Files{e.c, id} }

// at is the URL of a file, each part of its path escaped by itself.
func (f Files) at(name string) string {
	return path(append([]string{"environments", f.id, "files"}, strings.Split(strings.TrimLeft(name, "/"), "/")...)...)
}

// List lists a directory: its own entries or, recursively, all below.
func (f Files) List(ctx context.Context, dir string, recursive bool) (wire.FileList, error) {
	flag := "false"
	if recursive {
		flag = "true"
	}
	return get[wire.FileList](ctx, f.c, query(path("environments", f.id, "files"), "path", dir, "recursive", flag))
}

// Download opens a file for reading.
func (f Files) Download(ctx context.Context, name string) (io.ReadCloser, error) {
	resp, err := f.c.send(ctx, request{method: http.MethodGet, path: f.at(name)}, "")
	if err != nil {
		return nil, err
	}
	return resp.Body, nil
}

// Upload writes a file as it comes, and makes the directories above it. It is
// sent once.
func (f Files) Upload(ctx context.Context, name string, content io.Reader) (done wire.UploadedOne, err error) {
	out, in := io.Pipe()
	form := multipart.NewWriter(in)
	go func() {
		part, err := form.CreateFormFile("file", "undefined") // its path is the file itself
		if err == nil {
			_, err = io.Copy(part, content)
		}
		if err == nil {
			err = form.WriteField("path", name)
		}
		in.CloseWithError(errors.Join(err, form.Close()))
	}()
	defer out.Close()
	return done, f.c.upload(ctx, path("environments", f.id, "files", "upload"), form.FormDataContentType(), out, &done)
}

// Mkdir makes a directory and those above it.
func (f Files) Mkdir(ctx context.Context, dir string) error {
	_, err := post[wire.MadeDirectory](ctx, f.c, path("environments", f.id, "files", "mkdir"), wire.MakeDirectory{Path: dir})
	return err
}

// Move gives a file or directory another path.
func (f Files) Move(ctx context.Context, from, to string) error {
	_, err := postOnce[wire.MovedFile](ctx, f.c, path("environments", f.id, "files", "move"), wire.MoveFile{SourcePath: from, DestPath: to})
	return err
}

// Remove removes a file or, recursively, a directory.
func (f Files) Remove(ctx context.Context, name string, recursive bool) error {
	flag := ""
	if recursive {
		flag = "true"
	}
	return remove(ctx, f.c, query(f.at(name), "recursive", flag))
}
