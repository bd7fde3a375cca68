package actors

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/runtime/workspace"
)

const (
	// UploadLifetime is how long an address to upload to is good.
	UploadLifetime = time.Hour
	// MaxStagedFiles bounds the files that one prompt is given.
	MaxStagedFiles = 100
	// uploadsHandle names the computer that keeps an account's uploads. It never
	// runs: it is a disk that every node reaches, with a computer's quota.
	uploadsHandle = "uploads"
)

// Uploads are files that come before there is a computer to put them in, and
// files that come from who has an address and no key.
type Uploads struct {
	computers *Computers
	vault     vault
	now       func() time.Time
}

// Upload is a file that is awaited. Token lets one put it, until it expires.
type Upload struct {
	ID       string // "" for a file of a computer that was named
	Filename string
	Token    string
}

// awaited is what a token says. Being sealed, it says nothing to others, and
// nobody else can make one.
type awaited struct {
	Account  state.AccountID  `json:"account"`
	User     state.UserID     `json:"user"`
	Computer state.ComputerID `json:"computer"`
	Path     string           `json:"path"`
	Until    time.Time        `json:"until"`
}

var uploadAAD = state.SecretSealedAs("upload")

// Create awaits a file for a later prompt. Its name is made one of its own.
func (u *Uploads) Create(ctx context.Context, c Caller, filename string) (Upload, error) {
	shelf, err := u.shelf(ctx, c)
	if err != nil {
		return Upload{}, err
	}
	made := Upload{ID: newID[string]("file")}
	stem, ext := strings.TrimSuffix(filename, path.Ext(filename)), path.Ext(filename)
	made.Filename = stem + "-" + made.ID[len(made.ID)-6:] + ext
	made.Token, err = u.Await(c, shelf, made.ID+"/"+made.Filename)
	return made, err
}

// Await makes a token that lets one put a file of a computer of the account.
func (u *Uploads) Await(c Caller, computer state.ComputerID, name string) (string, error) {
	plain, err := json.Marshal(awaited{c.Account, c.User, computer, name, u.now().Add(UploadLifetime)})
	if err != nil {
		return "", fmt.Errorf("await %s: %w", name, err)
	}
	sealed, err := u.vault.sealer.Seal(uploadAAD, plain)
	if err != nil {
		return "", fmt.Errorf("await %s: %w", name, err)
	}
	return base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Put takes the file that a token awaits. It is Unauthorized when the token is
// none of ours or too old.
func (u *Uploads) Put(ctx context.Context, token string, content io.Reader) (FileInfo, error) {
	var a awaited
	sealed, err := base64.RawURLEncoding.DecodeString(token)
	if err == nil {
		var plain []byte
		if plain, err = u.vault.sealer.Open(uploadAAD, sealed); err == nil {
			err = json.Unmarshal(plain, &a)
		}
	}
	if err != nil || !u.now().Before(a.Until) {
		return FileInfo{}, fault.New(fault.Unauthorized, "this address to upload to is not valid, or no longer: it is for %s", UploadLifetime)
	}
	c := Caller{Account: a.Account, User: a.User}
	if _, err := u.computers.operate(ctx, c, a.Computer, FileOp{Verb: workspace.Mkdir, Path: path.Dir(a.Path), Recursive: true}); err != nil {
		return FileInfo{}, err
	}
	return u.computers.PutFile(ctx, c, a.Computer, content, func() (Place, error) { return Place{Path: a.Path}, nil })
}

// Staged finds uploads for a prompt; their names are those they have there.
func (u *Uploads) Staged(ctx context.Context, c Caller, files []Upload) ([]state.StagedFile, error) {
	if len(files) == 0 {
		return nil, nil
	}
	if len(files) > MaxStagedFiles {
		return nil, fault.New(fault.TooLarge, "files has %d files; the limit is %d", len(files), MaxStagedFiles).WithField("files")
	}
	shelf, err := u.shelf(ctx, c)
	if err != nil {
		return nil, err
	}
	var staged []state.StagedFile
	for _, f := range files {
		r, err := u.computers.openFile(ctx, c, shelf, f.ID+"/"+f.Filename)
		if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Invalid) {
			return nil, fault.New(fault.Invalid, "file %.40q (%.40q) was not uploaded", f.ID, f.Filename).WithField("files")
		}
		if err != nil {
			return nil, err
		}
		if err := r.Close(); err != nil {
			return nil, err
		}
		staged = append(staged, state.StagedFile{From: shelf, Path: f.ID + "/" + f.Filename, To: f.Filename})
	}
	return staged, nil
}

// shelf is the computer that keeps the account's uploads, made when it is first
// needed. Who deletes it deletes them.
func (u *Uploads) shelf(ctx context.Context, c Caller) (state.ComputerID, error) {
	find := func(v *state.View) (state.ComputerID, error) {
		found, _, err := v.ComputerNamed(c.Account, uploadsHandle)
		return found.ID, err
	}
	id, err := view(ctx, u.computers.cluster, find)
	if err != nil || id != "" {
		return id, err
	}
	spec, err := u.computers.specify(ctx, c, state.Computer{Origin: state.OriginAgentComputer, Handle: uploadsHandle, Name: "Uploaded files"})
	if err != nil {
		return "", err
	}
	spec.Wish = state.WishStopped
	if _, err := u.computers.cluster.Apply(ctx, state.CreateComputer{Computer: spec}); err != nil && !hasCode(err, state.CodeHandleTaken) {
		return "", err
	}
	return applied(u.computers.cluster, find)
}

// stage brings the files that a run is given. Brought again, they are the same.
func (w *work) stage() error {
	c := Caller{Account: w.run.Account}
	for _, f := range w.run.Config.Files {
		err := w.bring(c, f)
		switch {
		case w.ctx.Err() != nil:
			return context.Cause(w.ctx)
		case fault.Is(err, fault.Moved):
			return err
		case err != nil:
			w.log.Warn("bring a run's file", "err", err)
			return failed("files", "File %s could not be brought: %s", f.To, faultText(err))
		}
	}
	return nil
}

func (w *work) bring(c Caller, f state.StagedFile) error {
	content, err := w.computers.openFile(w.ctx, c, f.From, f.Path)
	if err != nil {
		return err
	}
	defer content.Close()
	_, err = w.computers.putFile(w.ctx, c, w.run.Computer, content, func() (Place, error) { return Place{Path: f.To}, nil })
	return err
}
