package state

import (
	"slices"
	"time"

	"github.com/bothy-computer/bothy/cluster/fault"
)

// Bounds of images.
const (
	// MaxImages bounds the images of one account, those that failed apart.
	MaxImages = 100
	// PullLimit is how long the pull of an image may take.
	PullLimit = time.Hour
	// FailedImageLifetime is how long the record of a pull that failed is kept.
	FailedImageLifetime = 24 * time.Hour
)

// CodeImageExists marks the Conflict of an image whose name is taken.
const CodeImageExists = "IMAGE_EXISTS"

// Image is one that somebody brought from outside: an archive that was sent, or
// an image of a registry. Its layers lie on nodes, which keep them as long as
// this record stands.
type Image struct {
	ID        ImageID    `cbor:"1,keyasint"`
	Account   AccountID  `cbor:"2,keyasint"` // whose it is
	Shared    bool       `cbor:"3,keyasint"` // every account may use it
	Name      string     `cbor:"4,keyasint"` // one of the account's, or one of all shared ones
	Reference string     `cbor:"5,keyasint"` // that it was pulled by; "" for one that was sent
	Phase     ImagePhase `cbor:"6,keyasint"`
	Node      NodeID     `cbor:"7,keyasint"` // that pulls it, or that it came to
	Digest    string     `cbor:"8,keyasint"` // "" before it is ready
	Bytes     int64      `cbor:"9,keyasint"` // that its files hold
	Error     string     `cbor:"10,keyasint"`
	CreatedAt time.Time  `cbor:"11,keyasint"`
	EndedAt   time.Time  `cbor:"12,keyasint"` // when it became ready, or failed; zero before
	Desktop   bool       `cbor:"13,keyasint"` // its computers have a display
}

// ImagePhase is where an image is.
//
//	pulling ──▶ ready | failed   (one that was sent is ready at once)
type ImagePhase string

const (
	ImagePulling ImagePhase = "pulling"
	ImageReady   ImagePhase = "ready"
	ImageFailed  ImagePhase = "failed"
)

// ImagePhases lists every phase.
func ImagePhases() []ImagePhase { return []ImagePhase{ImagePulling, ImageReady, ImageFailed} }

var imageMoves = map[ImagePhase][]ImagePhase{ImagePulling: {ImageReady, ImageFailed}}

// To returns q if an image may go from p to q, and a Moved otherwise.
func (p ImagePhase) To(q ImagePhase) (ImagePhase, error) {
	if slices.Contains(imageMoves[p], q) {
		return q, nil
	}
	return p, fault.New(fault.Moved, "an image that is %s cannot become %s", p, q)
}

// shelf is where an image's name counts.
func (i Image) shelf() string {
	if i.Shared {
		return sharedShelf
	}
	return string(i.Account)
}

// sharedShelf is that of images which every account may use; no account has
// such an id.
const sharedShelf = "shared"

var images = table[Image]{
	name: "image", noun: "Image",
	id: func(i Image) string { return string(i.ID) },
	indexes: []index[Image]{
		{"account", func(i Image) ([]string, string, bool) {
			return []string{string(i.Account)}, stampText(i.CreatedAt), i.Phase != ImageFailed
		}},
		{"shelf", func(i Image) ([]string, string, bool) { return []string{i.shelf()}, stampText(i.CreatedAt), true }},
		{"name", func(i Image) ([]string, string, bool) {
			return []string{i.shelf(), i.Name}, "", i.Phase != ImageFailed
		}},
		{"digest", func(i Image) ([]string, string, bool) {
			return []string{i.Digest}, stampText(i.CreatedAt), i.Phase == ImageReady
		}},
		{"pulling", func(i Image) ([]string, string, bool) {
			return []string{string(i.Node)}, stampText(i.CreatedAt), i.Phase == ImagePulling
		}},
		{"begun", func(i Image) ([]string, string, bool) { return nil, stampText(i.CreatedAt), i.Phase == ImagePulling }},
		{"failed", func(i Image) ([]string, string, bool) { return nil, stampText(i.EndedAt), i.Phase == ImageFailed }},
	},
}

// Image returns an image that an account may use, its own or a shared one.
func (v *View) Image(account AccountID, id ImageID) (Image, error) {
	i, err := images.get(v.r, string(id))
	return owned(i, err, i.Account == account || i.Shared, images.noun, string(id))
}

// AnyImage returns an image of any account, for those who act on records.
func (v *View) AnyImage(id ImageID) (Image, bool, error) { return images.find(v.r, string(id)) }

// ImagesOf lists what an account may use, in whatever phase: its own images and
// then the shared ones, each newest first.
func (v *View) ImagesOf(account AccountID) (list []Image, err error) {
	for _, shelf := range []string{string(account), sharedShelf} {
		if err == nil {
			err = images.each(v.r, "shelf", []string{shelf}, true, func(i Image) bool { list = append(list, i); return true })
		}
	}
	return list, err
}

// ImageNamed returns the image that a name means to an account: one of its own,
// else a shared one; false when there is none. An image that failed has no name.
func (v *View) ImageNamed(account AccountID, name string) (found Image, ok bool, err error) {
	for _, shelf := range []string{string(account), sharedShelf} {
		if err == nil && !ok {
			err = images.each(v.r, "name", []string{shelf, name}, false, func(i Image) bool { found, ok = i, true; return false })
		}
	}
	return found, ok, err
}

// SharedImage returns the shared image of a name, or false.
func (v *View) SharedImage(name string) (found Image, ok bool, err error) {
	err = images.each(v.r, "name", []string{sharedShelf, name}, false, func(i Image) bool { found, ok = i, true; return false })
	return found, ok, err
}

// ImagesWith visits the ready images of a digest, the oldest first, until visit
// returns false.
func (v *View) ImagesWith(digest string, visit func(Image) bool) error {
	return images.each(v.r, "digest", []string{digest}, false, visit)
}

// ReadyImages visits all images that are there, until visit returns false.
func (v *View) ReadyImages(visit func(Image) bool) error {
	return images.each(v.r, "digest", nil, false, visit)
}

// PullsOn visits the images that a node has to pull, until visit returns false.
func (v *View) PullsOn(node NodeID, visit func(Image) bool) error {
	return images.each(v.r, "pulling", []string{string(node)}, false, visit)
}

// CreateImage records an image that a node has, or that it is to pull. A name
// that is taken is a Conflict.
type CreateImage struct {
	Image       Image        `cbor:"1,keyasint"`
	Idempotency *Idempotency `cbor:"2,keyasint,omitempty"`
}

func (cmd CreateImage) apply(tx *Tx) error {
	i := cmd.Image
	if _, err := accounts.get(tx.w, string(i.Account)); err != nil {
		return err
	}
	makes := Resource{"image", string(i.ID)}
	if done, err := tx.once(i.Account, cmd.Idempotency, makes); err != nil || done {
		return err
	}
	if err := tx.ImageFits(i); err != nil {
		return err
	}
	i.CreatedAt, i.EndedAt, i.Error = tx.now, time.Time{}, ""
	if i.Phase == ImageReady {
		i.EndedAt = tx.now
	} else {
		i.Phase, i.Digest, i.Bytes = ImagePulling, "", 0
	}
	if err := images.create(tx.w, i); err != nil {
		return err
	}
	tx.changed(Change{Noun: ChangedImage, ID: string(i.ID), Node: i.Node})
	tx.Reply(Made{Resource: makes})
	return nil
}

// ImageFits says why an image could not be recorded now: its name is taken, or
// the account has too many.
func (v *View) ImageFits(i Image) error {
	var taken ImageID
	err := images.each(v.r, "name", []string{i.shelf(), i.Name}, false, func(have Image) bool { taken = have.ID; return false })
	if err != nil {
		return err
	}
	if taken != "" {
		return fault.New(fault.Conflict, "an image is called %s already: %s", i.Name, taken).WithCode(CodeImageExists).WithField("name")
	}
	n, err := images.count(v.r, "account", string(i.Account))
	if err == nil && n >= MaxImages {
		err = fault.New(fault.Conflict, "the account has %d images, which is the limit; delete one", n)
	}
	return err
}

// EndPull records what came of an image that a node was to pull: its digest, or
// why there is none.
type EndPull struct {
	ID     ImageID `cbor:"1,keyasint"`
	Node   NodeID  `cbor:"2,keyasint"`
	Digest string  `cbor:"3,keyasint"`
	Bytes  int64   `cbor:"4,keyasint"`
	Error  string  `cbor:"5,keyasint"`
	// Desktop is as the Image's.
	Desktop bool `cbor:"6,keyasint"`
}

func (cmd EndPull) apply(tx *Tx) error {
	i, ok, err := tx.AnyImage(cmd.ID)
	if err != nil || !ok {
		return err
	}
	if i.Node != cmd.Node {
		return fault.New(fault.Moved, "image %s is pulled by another node", i.ID)
	}
	i.Digest, i.Bytes, i.Desktop = cmd.Digest, cmd.Bytes, cmd.Desktop
	if cmd.Error != "" {
		return tx.failPull(i, cmd.Error)
	}
	if i.Phase, err = i.Phase.To(ImageReady); err != nil {
		return err
	}
	return tx.putImage(i)
}

// failPull ends a pull with a reason.
func (tx *Tx) failPull(i Image, reason string) (err error) {
	i.Digest, i.Bytes, i.Desktop, i.Error = "", 0, false, reason
	if i.Phase, err = i.Phase.To(ImageFailed); err != nil {
		return err
	}
	return tx.putImage(i)
}

// putImage stores an image whose pull has ended.
func (tx *Tx) putImage(i Image) error {
	i.EndedAt = tx.now
	tx.changed(Change{Noun: ChangedImage, ID: string(i.ID), Node: i.Node})
	return images.put(tx.w, i)
}

// failPulls ends what a node that is lost was to pull.
func (tx *Tx) failPulls(node NodeID) error {
	var open []Image
	err := tx.PullsOn(node, func(i Image) bool { open = append(open, i); return true })
	for _, i := range open {
		if err == nil {
			err = tx.failPull(i, "the node that pulled it was lost; pull it again")
		}
	}
	return err
}

// expirePulls fails up to n pulls whose time is over.
func expirePulls(tx *Tx, n int) (int, error) {
	due, err := images.before(tx.w, "begun", tx.now.Add(-PullLimit), n)
	for _, i := range due {
		if err == nil {
			err = tx.failPull(i, "it was not pulled within "+PullLimit.String())
		}
	}
	return len(due), err
}

// DeleteImage forgets an image. While a computer of the account, or for a shared
// one any computer, is made of it, that is a Conflict. One that is being pulled
// is forgotten too: its pull ends.
type DeleteImage struct {
	Account AccountID `cbor:"1,keyasint"`
	ID      ImageID   `cbor:"2,keyasint"`
}

func (cmd DeleteImage) apply(tx *Tx) error {
	i, err := images.get(tx.w, string(cmd.ID))
	if i, err = owned(i, err, i.Account == cmd.Account || i.Shared, images.noun, string(cmd.ID)); err != nil {
		return err
	}
	if i.Account != cmd.Account {
		return fault.New(fault.Forbidden, "image %s is shared by another account", i.ID)
	}
	user, err := tx.userOf(i)
	if err != nil {
		return err
	}
	if user != "" {
		return fault.New(fault.Conflict, "computer %s is made of image %s; delete it first", user, i.Name)
	}
	tx.changed(Change{Noun: ChangedImage, ID: string(i.ID), Node: i.Node})
	return images.remove(tx.w, string(i.ID))
}

// userOf finds a computer that is made of an image and has no other record that
// keeps it.
func (tx *Tx) userOf(i Image) (user ComputerID, err error) {
	if i.Digest == "" {
		return "", nil
	}
	others := 0
	err = tx.ImagesWith(i.Digest, func(o Image) bool {
		if o.ID != i.ID && o.shelf() == i.shelf() {
			others++
		}
		return others == 0
	})
	if err != nil || others > 0 {
		return "", err
	}
	scope := []string{string(i.Account)}
	if i.Shared {
		scope = nil
	}
	err = computers.each(tx.w, "account", scope, true, func(c Computer) bool {
		if c.Wish != WishDeleted && (c.Image == i.Digest || i.Shared && c.Image == i.Name) {
			user = c.ID
		}
		return user == ""
	})
	return user, err
}
