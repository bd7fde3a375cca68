package computeragents

import (
	"errors"
	"io"
	"mime/multipart"
	"path"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/httpapi/door"
	"github.com/bothy-computer/bothy/httpapi/wire"
)

const (
	// maxUploadFiles bounds the files of one upload.
	maxUploadFiles = 10_000
	// maxUploadBytes bounds the whole form; each file has its own bound.
	maxUploadBytes = 4 * actors.MaxFileBytes
	// noName is what clients send that were given no name of a file.
	noName = "undefined"
)

// uploadFiles serves POST /environments/:id/files/upload: one file or several,
// each written as it comes.
func (a *API) uploadFiles(c *gin.Context) error {
	e, err := a.writable(c)
	if err != nil {
		return err
	}
	form, err := a.form(c, maxUploadBytes)
	if err != nil {
		return err
	}
	ctx, caller := c.Request.Context(), door.CallerOf(c)
	got, err := receive(form, func(content io.Reader, place func() (actors.Place, error)) (actors.FileInfo, error) {
		return a.Files.PutFile(ctx, caller, e.Computer, content, place)
	})
	if err != nil {
		return err
	}
	if got.parts == 1 {
		a.ok(c, wire.UploadedOne{Success: true, EnvironmentID: string(e.ID), UploadedFile: got.Files[0]})
		return nil
	}
	got.Success, got.EnvironmentID = len(got.Errors) == 0, string(e.ID)
	a.ok(c, got.UploadedMany)
	return nil
}

// put writes a file whose place is known when its content has ended.
type put func(content io.Reader, place func() (actors.Place, error)) (actors.FileInfo, error)

// received is what came of a form.
type received struct {
	wire.UploadedMany
	parts int // files that came
}

// receiver reads the parts of a form in turn.
type receiver struct {
	form *form
	put  put
	got  received
	next *multipart.Part // read ahead; nil for none
	base string          // the path that came before any file
}

// receive writes the files of a form. A file that is itself at fault is told of
// among the errors and the others go on; when it is the only one, or the fault
// lies elsewhere, that is the error.
func receive(form *form, write put) (received, error) {
	r := &receiver{form: form, put: write}
	r.got.Files, r.got.Errors = []wire.UploadedFile{}, []wire.FileError{}
	var last error
	for {
		part, err := r.part()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r.got, err
		}
		switch part.FormName() {
		case "path":
			if r.base, err = pathField(part); err != nil {
				return r.got, err
			}
		case "file":
			if r.got.parts++; r.got.parts > maxUploadFiles {
				return r.got, fault.New(fault.TooLarge, "One upload has at most %d files", maxUploadFiles).WithField("file")
			}
			if err := r.file(part); itsOwn(err) {
				last = err
			} else if err != nil {
				return r.got, err
			}
		}
	}
	if r.got.parts == 0 {
		return r.got, invalid("file", "Missing required field: file")
	}
	if len(r.got.Files) == 0 {
		return r.got, last
	}
	return r.got, nil
}

// part is the next part of the form.
func (r *receiver) part() (*multipart.Part, error) {
	if part := r.next; part != nil {
		r.next = nil
		return part, nil
	}
	return r.form.next()
}

// itsOwn reports whether a file could not be written for what it is.
func itsOwn(err error) bool {
	var f *fault.Error
	if !errors.As(err, &f) || f.Code == door.CodeBody {
		return false
	}
	return f.Kind == fault.Invalid || f.Kind == fault.Conflict || f.Kind == fault.TooLarge
}

// file writes one file and tells of it.
func (r *receiver) file(part *multipart.Part) error {
	filename := filenameOf(part)
	to, asked := "", false
	place := func() (actors.Place, error) {
		dir, err := r.path()
		if asked = true; err != nil {
			return actors.Place{}, err
		}
		to, err = target(filename, dir)
		return actors.Place{Path: to}, err
	}
	info, err := r.put(formContent{part}, place)
	if err == nil {
		r.got.Files = append(r.got.Files, wire.UploadedFile{Filename: path.Base(info.Path), Path: info.Path, Size: info.SizeBytes})
		return nil
	}
	if itsOwn(err) {
		if !asked { // its path is not the next file's
			if _, err := r.path(); err != nil {
				return err
			}
		}
		r.got.Errors = append(r.got.Errors, wire.FileError{Filename: clip(filename), Path: to, Error: err.Error()})
	}
	return err
}

// clip keeps an error as short as a name.
func clip(text string) string { return text[:min(len(text), maxNameBytes)] }

// path is the path that follows a file, else the one before all.
func (r *receiver) path() (string, error) {
	part, err := r.part()
	switch {
	case errors.Is(err, io.EOF):
		return r.base, nil
	case err != nil:
		return "", err
	case part.FormName() == "path":
		return pathField(part)
	}
	r.next = part
	return r.base, nil
}

// target is where a file goes: into dir, or to dir itself if it has no name.
func target(filename, dir string) (string, error) {
	into, err := pathOf("path", dir)
	if err != nil {
		return "", err
	}
	if filename == "" || filename == noName {
		if into == "." {
			return "", invalid("file", "file has no filename, and there is no path to write it to")
		}
		return into, nil
	}
	name, err := pathOf("filename", strings.TrimLeft(filename, "/"))
	if err == nil && name == "." {
		err = invalid("filename", "%.200q is no name of a file", filename)
	}
	if err != nil {
		return "", err
	}
	return pathOf("path", path.Join(into, name))
}
