package actors

import (
	"context"
	"strings"
	"time"

	"github.com/bothy-computer/bothy/runtime"
)

// digestPrefix begins an image's content address.
const digestPrefix = "sha256:"

// Images are what computers can be made of.
type Images struct{ driver Driver }

// Image is one of them, as this node has it.
type Image struct {
	Name        string
	Title       string
	Description string
	Status      string // active: ready to use
	CreatedAt   time.Time
}

// List returns the images that this node knows.
func (i *Images) List(ctx context.Context) ([]Image, error) {
	s, ok := i.driver.(runtime.Sizer)
	if !ok {
		return nil, nil
	}
	room, err := s.Capacity(ctx)
	if err != nil {
		return nil, translate(err)
	}
	var all []Image
	for _, name := range room.Images {
		if strings.HasPrefix(name, digestPrefix) {
			continue // its content, which its names stand for
		}
		all = append(all, Image{Name: name, Title: name, Status: "active"})
	}
	return all, nil
}
