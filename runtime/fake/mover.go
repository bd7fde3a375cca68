package fake

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// arrival is a disk that another machine has sent, whole.
type arrival struct {
	save
	at time.Time
}

// parcel is a disk on its way between machines.
type parcel struct {
	Saved runtime.Saved
	Files []parcelFile
}

type parcelFile struct {
	Name string
	Mode fs.FileMode
	Data []byte
}

// SendSnapshot implements runtime.Mover. It is one request, with all files, whatever
// was sent before.
func (d *Driver) SendSnapshot(ctx context.Context, of runtime.Source, _ string, way http.RoundTripper) (runtime.Saved, error) {
	var p parcel
	err := d.call(ctx, Call{Op: SendSnapshot, ID: of.Computer}, func() error {
		d.mu.Lock()
		from, ok := d.snapshots[of]
		d.mu.Unlock()
		if !ok {
			return fmt.Errorf("%w: %s of %s", runtime.ErrNoSnapshot, of.Name, of.Computer)
		}
		p.Saved = runtime.Saved{Save: runtime.Save(of), Image: from.Image, MadeAt: from.MadeAt, Bytes: from.Bytes, Read: from.Bytes, Sent: from.Bytes}
		if d.opts.Dir != "" {
			files, err := readFiles(d.snapshotDir(of))
			if err != nil {
				return err
			}
			for _, f := range files {
				p.Files = append(p.Files, parcelFile{f.name, f.mode, []byte(f.data)})
			}
		}
		return post(ctx, way, p)
	})
	return p.Saved, err
}

func post(ctx context.Context, way http.RoundTripper, p parcel) error {
	body, err := json.Marshal(p)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "https://inbox/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	res, err := way.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("%w: %w", runtime.ErrNoInbox, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", runtime.ErrNoInbox, err)
	case res.StatusCode == http.StatusInsufficientStorage:
		return fmt.Errorf("%w: %s", runtime.ErrFull, text)
	case res.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: %s", runtime.ErrNoInbox, text)
	}
	return nil
}

// Inbox implements runtime.Mover.
func (d *Driver) Inbox() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var p parcel
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		a := arrival{save{Saved: p.Saved}, d.opts.Now()}
		for _, f := range p.Files {
			a.files = append(a.files, file{f.Name, f.Mode, string(f.Data)})
		}
		d.mu.Lock()
		defer d.mu.Unlock()
		d.sent[p.Saved.Save] = a
	})
}

func (d *Driver) findSent(of runtime.Save) (save, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	a, ok := d.sent[of]
	if !ok {
		return save{}, fmt.Errorf("%w: %s of %s", runtime.ErrNoSave, of.Name, of.Computer)
	}
	return a.save, nil
}

// ForgetSent implements runtime.Mover.
func (d *Driver) ForgetSent(ctx context.Context, id runtime.ID, last time.Time) error {
	return d.call(ctx, Call{Op: ForgetSent, ID: id}, func() error {
		d.mu.Lock()
		defer d.mu.Unlock()
		maps.DeleteFunc(d.sent, func(s runtime.Save, a arrival) bool { return s.Computer == id && !a.at.After(last) })
		return nil
	})
}

// SentComputers implements runtime.Mover.
func (d *Driver) SentComputers(ctx context.Context, visit func(runtime.ID, time.Time) error) error {
	return d.call(ctx, Call{Op: SentComputers}, func() error {
		last := map[runtime.ID]time.Time{}
		d.mu.Lock()
		for s, a := range d.sent {
			if a.at.After(last[s.Computer]) {
				last[s.Computer] = a.at
			}
		}
		d.mu.Unlock()
		var err error
		for id, at := range last {
			err = errors.Join(err, visit(id, at))
		}
		return err
	})
}
