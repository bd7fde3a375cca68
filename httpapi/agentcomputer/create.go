package agentcomputer

import (
	"net/http"
	"regexp"
	"strings"
	"unicode"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// createComputerRequest is the body of POST /computers.
type createComputerRequest struct {
	sized
	Source      *source `json:"source"`
	Platform    string  `json:"platform"`
	Handle      string  `json:"handle"`
	DisplayName string  `json:"display_name"`
	Guest       *guest  `json:"guest"`
}

// source is what a new computer's disk begins as.
type source struct {
	Kind     string `json:"kind"`
	Image    string `json:"image_id"`
	Snapshot string `json:"snapshot_id"`
}

// guest is what a new computer is told of its user.
type guest struct {
	AuthorizedKeys []string `json:"authorized_keys"`
}

// createComputer serves POST /computers.
func (a *API) createComputer(c *gin.Context) error {
	var req createComputerRequest
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	return a.create(c, req)
}

func (a *API) create(c *gin.Context, req createComputerRequest) error {
	spec, err := a.asked(c, req)
	if err != nil {
		return err
	}
	caller, err := a.Caller(c)
	if err != nil {
		return err
	}
	asked, err := a.Computers.Create(c.Request.Context(), caller, spec)
	if err == nil {
		a.answer(c, http.StatusAccepted, asked)
	}
	return err
}

// asked is the computer that a request asks for. One made from a snapshot has
// the size of the snapshot's computer if it asks for none.
func (a *API) asked(c *gin.Context, r createComputerRequest) (state.Computer, error) {
	have, err := platform(r.Platform)
	if err != nil {
		return state.Computer{}, err
	}
	if r.Source != nil && r.Source.Kind == "snapshot" && door.LooksLikeID(r.Source.Snapshot) {
		s, err := a.snapshotNamed(c, state.SnapshotID(r.Source.Snapshot))
		if err != nil {
			return state.Computer{}, err
		}
		have = preset{presetOf(s.Size), "", s.Size.MemoryBytes / mebibyte, s.Size.DiskBytes}
	}
	size, err := r.wanted(have)
	if err != nil {
		return state.Computer{}, err
	}
	if r.Platform == platformMac {
		return state.Computer{}, unavailablePlatform()
	}
	spec := state.Computer{Origin: state.OriginAgentComputer, Handle: r.Handle, Name: r.DisplayName,
		MemoryBytes: size.MemoryMiB * mebibyte, DiskBytes: size.StorageBytes, Egress: true}
	for _, check := range []error{r.source(&spec), handle(r.Handle), name("display_name", r.DisplayName), r.keys(&spec)} {
		if check != nil {
			return spec, check
		}
	}
	return spec, nil
}

func (r createComputerRequest) source(spec *state.Computer) error {
	if r.Source == nil {
		return nil
	}
	switch r.Source.Kind {
	case "", "image":
		if len(r.Source.Image) > maxImageBytes {
			return invalid("source.image_id", "source.image_id must be at most %d bytes", maxImageBytes)
		}
		spec.Image = r.Source.Image
	case "snapshot":
		if !door.LooksLikeID(r.Source.Snapshot) {
			return invalid("source.snapshot_id", "source.snapshot_id is not an id")
		}
		spec.Source = state.SnapshotID(r.Source.Snapshot)
	default:
		return invalid("source.kind", "source.kind must be image or snapshot, not %.40q", r.Source.Kind)
	}
	return nil
}

func (r createComputerRequest) keys(spec *state.Computer) error {
	if r.Guest == nil {
		return nil
	}
	if len(r.Guest.AuthorizedKeys) > maxAuthorizedKeys {
		return invalid("guest.authorized_keys", "guest.authorized_keys must have at most %d keys", maxAuthorizedKeys)
	}
	for i, k := range r.Guest.AuthorizedKeys {
		if len(k) > maxKeyBytes || strings.ContainsAny(k, "\r\n") {
			return invalid("guest.authorized_keys", "guest.authorized_keys[%d] must be one line of at most %d bytes", i, maxKeyBytes)
		}
	}
	spec.AuthorizedKeys = r.Guest.AuthorizedKeys
	return nil
}

var (
	// handles are DNS labels that leave room for a port before them.
	handles = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`)
	uuids   = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)
)

// handle refuses what cannot be part of a host name, or would be taken for an
// id; empty is none.
func handle(text string) error {
	if text == "" {
		return nil
	}
	if !handles.MatchString(text) || strings.Contains(text, "--") || uuids.MatchString(text) {
		return invalid("handle", "handle must be 1 to 40 lower-case letters, digits and single hyphens, with a letter or digit at each end")
	}
	return nil
}

func name(field, text string) error {
	if len(text) > maxNameBytes {
		return invalid(field, "%s must be at most %d bytes", field, maxNameBytes)
	}
	if strings.ContainsFunc(text, unicode.IsControl) {
		return invalid(field, "%s must not hold control characters", field)
	}
	return nil
}
