package agent

import (
	"bytes"
	"encoding/base64"
	"image"
	_ "image/gif" // decoders of the formats that every vendor takes
	_ "image/jpeg"
	_ "image/png"
	"net/http"
	"slices"
)

// Bounds of pictures that a model is shown. Every vendor takes what keeps them.
const (
	// MaxPictureBytes bounds one picture.
	MaxPictureBytes = 3_750_000
	// maxPictureSide bounds a picture's width and height, in pixels.
	maxPictureSide = 8000
	// maxPictures and maxPicturesBytes bound those of one call; the newest count.
	maxPictures      = 8
	maxPicturesBytes = 8 << 20
)

// Picture is an image that came of a call: a file of the workspace, which is read
// again for each model call that shows it.
type Picture struct {
	Path   string `json:"path"`
	Type   string `json:"type"` // image/png, image/jpeg, image/gif or image/webp
	Bytes  int64  `json:"bytes"`
	Width  int    `json:"width,omitempty"` // in pixels; 0 when unknown
	Height int    `json:"height,omitempty"`
	// Content is set in a Request alone.
	Content []byte `json:"-"`
}

// DataURL is the content as a data: URL.
func (p Picture) DataURL() string { return "data:" + p.Type + ";base64," + p.Base64() }

// Base64 is the content as every vendor's JSON has it.
func (p Picture) Base64() string { return base64.StdEncoding.EncodeToString(p.Content) }

// PictureOf looks at a file's content; ok is false when it is no picture that a
// model can be shown.
func PictureOf(path string, content []byte) (p Picture, ok bool) {
	p = Picture{Path: path, Type: http.DetectContentType(content), Bytes: int64(len(content))}
	if len(content) > MaxPictureBytes {
		return p, false
	}
	switch p.Type {
	case "image/webp":
		return p, true
	case "image/png", "image/jpeg", "image/gif":
		size, _, err := image.DecodeConfig(bytes.NewReader(content))
		p.Width, p.Height = size.Width, size.Height
		return p, err == nil && max(size.Width, size.Height) <= maxPictureSide && min(size.Width, size.Height) > 0
	}
	return p, false
}

// pictured leaves entries the pictures that the next call shows: the newest of the
// run that is under way. Earlier ones are named by their results and can be read
// again.
func pictured(entries []Entry) []Entry {
	run := len(entries) - len(runOf(entries))
	left, room := maxPictures, int64(maxPicturesBytes)
	out := slices.Clone(entries)
	for i := len(out) - 1; i >= 0; i-- {
		r := out[i].Result
		if r == nil || len(r.Pictures) == 0 {
			continue
		}
		shown := *r
		shown.Pictures = nil
		for _, p := range slices.Backward(r.Pictures) {
			if i > run && left > 0 && p.Bytes <= room {
				shown.Pictures = append(shown.Pictures, p)
				left, room = left-1, room-p.Bytes
			}
		}
		slices.Reverse(shown.Pictures)
		out[i].Result = &shown
	}
	return out
}

// WithPictures gives each picture of a request its content, or takes it out where
// content has none: a file that is gone, or that is no such picture any more.
func (r Request) WithPictures(content func(Picture) ([]byte, bool)) Request {
	r.Entries = slices.Clone(r.Entries)
	for i, e := range r.Entries {
		if e.Result == nil || len(e.Result.Pictures) == 0 {
			continue
		}
		shown := *e.Result
		shown.Pictures = nil
		for _, p := range e.Result.Pictures {
			if b, ok := content(p); ok {
				p.Content = b
				shown.Pictures = append(shown.Pictures, p)
			}
		}
		r.Entries[i].Result = &shown
	}
	return r
}
