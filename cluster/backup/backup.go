// Package backup is the file that holds all of a cluster but its computers'
// disks: its records and the keys that open what is sealed in them. The whole
// is encrypted with age (https://age-encryption.org/v1) for those who may
// restore it, so it can be kept anywhere; a file that was cut short or changed
// does not open.
//
// Inside: magic (8) | length of the header (4, big endian) | header (JSON) | the
// records as package store archives them.
package backup

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"filippo.io/age"

	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/identity"
)

const (
	magic          = "bothybk1"
	maxHeaderBytes = 1 << 20
	// MaxRecipients bounds for how many keys one file is encrypted.
	MaxRecipients = 16
)

// ErrFormat is returned for what opens and is no backup of a cluster.
var ErrFormat = errors.New("this is no backup of a cluster, or of a newer build's")

// Header says what a backup is of. It holds the cluster's keys: it is never
// logged.
type Header struct {
	Cluster string            `json:"cluster"` // its id
	TakenAt time.Time         `json:"taken_at"`
	Build   string            `json:"build"` // of the node that took it
	Keys    identity.Portable `json:"keys"`
}

// NewKey makes a key that opens backups, and its recipient, for which they are
// encrypted. Whoever takes backups needs the recipient alone.
func NewKey() (key, recipient string, err error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", "", fmt.Errorf("make a backup key: %w", err)
	}
	return id.String(), id.Recipient().String(), nil
}

// CheckRecipients refuses what are no recipients, none of them, and more than
// MaxRecipients, as Invalid.
func CheckRecipients(recipients []string) error {
	_, err := parse(recipients)
	return err
}

func parse(recipients []string) (to []age.Recipient, err error) {
	if len(recipients) == 0 || len(recipients) > MaxRecipients {
		return nil, fault.New(fault.Invalid, "%d recipients; a backup has 1 to %d", len(recipients), MaxRecipients).WithField("recipients")
	}
	for i, text := range recipients {
		r, err := age.ParseX25519Recipient(strings.TrimSpace(text))
		if err != nil { // not repeated: it may be the key itself
			return nil, fault.New(fault.Invalid, "recipient %d is none: they begin with age1, as `bothy backup keygen` prints them", i+1).WithField("recipients")
		}
		to = append(to, r)
	}
	return to, nil
}

// Write encrypts a backup for recipients, who are as CheckRecipients takes them;
// records writes the archive of the records. What it has written is whole only
// when it returns nil.
func Write(w io.Writer, recipients []string, h Header, records func(io.Writer) error) error {
	to, err := parse(recipients)
	if err != nil {
		return err
	}
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	sealed, err := age.Encrypt(w, to...)
	if err != nil {
		return fmt.Errorf("encrypt the backup: %w", err)
	}
	head := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(text)))
	if _, err := sealed.Write(append(head, text...)); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if err := records(sealed); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	if err := sealed.Close(); err != nil {
		return fmt.Errorf("write the backup: %w", err)
	}
	return nil
}

// Read opens a backup with a key as NewKey made it, or a file of several, a line
// each. What follows the header, the records' archive, is read from the reader;
// its end is io.EOF only if nothing is missing.
func Read(r io.Reader, key io.Reader) (Header, io.Reader, error) {
	ids, err := age.ParseIdentities(key)
	if err != nil {
		return Header{}, nil, fmt.Errorf("read the backup key: %w", err)
	}
	plain, err := age.Decrypt(r, ids...)
	var none *age.NoIdentityMatchError
	switch {
	case errors.As(err, &none):
		return Header{}, nil, errors.New("the backup was made for other keys than this one")
	case err != nil:
		return Header{}, nil, fmt.Errorf("open the backup: %w", err)
	}
	head := make([]byte, len(magic)+4)
	if _, err := io.ReadFull(plain, head); err != nil {
		return Header{}, nil, fmt.Errorf("open the backup: %w", err)
	}
	size := binary.BigEndian.Uint32(head[len(magic):])
	if string(head[:len(magic)]) != magic || size > maxHeaderBytes {
		return Header{}, nil, ErrFormat
	}
	text := make([]byte, size)
	if _, err := io.ReadFull(plain, text); err != nil {
		return Header{}, nil, fmt.Errorf("open the backup: %w", err)
	}
	var h Header
	if err := json.Unmarshal(text, &h); err != nil {
		return Header{}, nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return h, plain, nil
}
