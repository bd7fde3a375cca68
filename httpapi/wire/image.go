package wire

import "time"

// Image is what a computer can be made of.
type Image struct {
	ID          string    `json:"id"` // an image_id
	DisplayName string    `json:"display_name"`
	Description string    `json:"description"`
	Status      string    `json:"status"` // active, pulling, failed
	CreatedAt   time.Time `json:"created_at"`
	// What follows is of images that were imported or pulled.
	Digest        string `json:"digest,omitempty"`
	SizeBytes     int64  `json:"size_bytes,omitempty"`
	Reference     string `json:"reference,omitempty"` // that it was pulled by
	Shared        bool   `json:"shared,omitempty"`    // every account may use it
	FailureReason string `json:"failure_reason,omitempty"`
}

// PullImage asks for an image of a registry.
type PullImage struct {
	Reference string `json:"reference"`        // such as docker.io/library/python:3.12
	Name      string `json:"name,omitempty"`   // "" is the reference
	Shared    bool   `json:"shared,omitempty"` // for every account
}

// Images are all that an account can use.
type Images struct {
	Images []Image `json:"images"`
}

// OneImage wraps an image in a reply.
type OneImage struct {
	Image Image `json:"image"`
}
