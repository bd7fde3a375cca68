package wire

import "time"

// Registry is one of images that an account logs in to. Its password is never
// shown.
type Registry struct {
	Host      string    `json:"host"` // such as docker.io, or registry.example.org:5000
	Username  string    `json:"username"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// Registries are all of an account.
type Registries struct {
	Registries []Registry `json:"registries"`
}

// OneRegistry wraps a registry in a reply.
type OneRegistry struct {
	Registry Registry `json:"registry"`
}

// SetRegistry says how to log in to a registry.
type SetRegistry struct {
	Username string `json:"username"`
	Password string `json:"password"`
}
