package agentcomputer

import (
	"context"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/bothy-computer/bothy/actors"
	"github.com/bothy-computer/bothy/cluster/fault"
	"github.com/bothy-computer/bothy/cluster/state"
	"github.com/bothy-computer/bothy/httpapi/door"
)

// SSH says who may log in to computers.
type SSH interface {
	RegisterKey(ctx context.Context, c actors.Caller, name, publicKey string) (state.SSHKey, error)
	Keys(context.Context, actors.Caller) ([]state.SSHKey, error)
	RevokeKey(context.Context, actors.Caller, state.SSHKeyID) error
	Certify(context.Context, actors.Caller, state.ComputerID, state.SSHKeyID, time.Duration) (actors.Certificate, error)
	Credentials(context.Context, actors.Caller, state.ComputerID, time.Duration) (actors.Credentials, error)
}

func (a *API) sshRoutes() []door.Route {
	return []door.Route{
		{Method: "POST", Path: "/computers/:id/ssh/certificates", Scopes: writing, Serve: a.Handle(a.createCertificate)},
		{Method: "POST", Path: "/computers/:id/ssh-credentials", Scopes: writing, Serve: a.Handle(a.createCredentials)},
	}
}

// sshCertificate is the reply of ssh/certificates.
type sshCertificate struct {
	AuthorizedKey string    `json:"authorized_key"`
	User          string    `json:"ssh_user"`
	Host          string    `json:"ssh_host"`
	Port          int       `json:"ssh_port"`
	ExpiresAt     time.Time `json:"expires_at"`
}

// sshCredentials is the reply of ssh-credentials.
type sshCredentials struct {
	ComputerID     string    `json:"computer_id"`
	ComputerHandle string    `json:"computer_handle"`
	User           string    `json:"ssh_user"`
	EdgeHost       string    `json:"edge_host"`
	EdgePort       int       `json:"edge_port"`
	SNI            string    `json:"sni"`
	PrivateKey     string    `json:"client_private_key"`
	PublicKey      string    `json:"client_public_key"`
	Certificate    string    `json:"client_certificate"`
	HostKey        string    `json:"guest_host_public_key"`
	ExpiresAt      time.Time `json:"expires_at"`
}

// lifetime reads ttl_seconds; absent is the default of what is asked for.
func lifetime(seconds *int64) (time.Duration, error) {
	if seconds == nil {
		return 0, nil
	}
	if most := int64(actors.MaxCertificateTTL / time.Second); *seconds < 1 || *seconds > most {
		return 0, invalid("ttl_seconds", "ttl_seconds must be 1 to %d", most)
	}
	return time.Duration(*seconds) * time.Second, nil
}

// sshDoor is where the SSH door of the cluster is, as this client reaches it.
func (a *API) sshDoor(c *gin.Context) (host string, port int, err error) {
	host, port = a.links.SSH(c.Request)
	if port == 0 {
		err = fault.New(fault.Unsupported, "this cluster's SSH door is switched off")
	}
	return host, port, err
}

// createCertificate serves POST /computers/:id/ssh/certificates.
func (a *API) createCertificate(c *gin.Context) error {
	var req struct {
		Key string `json:"ssh_key_id"`
		TTL *int64 `json:"ttl_seconds"`
	}
	if err := a.Read(c, &req); err != nil {
		return err
	}
	if !door.LooksLikeID(req.Key) {
		return invalid("ssh_key_id", "ssh_key_id must be the id of a registered key")
	}
	ttl, err := lifetime(req.TTL)
	if err != nil {
		return err
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	host, port, err := a.sshDoor(c)
	if err != nil {
		return err
	}
	cert, err := a.SSH.Certify(c.Request.Context(), door.CallerOf(c), m.ID, state.SSHKeyID(req.Key), ttl)
	if err == nil {
		c.JSON(http.StatusCreated, sshCertificate{AuthorizedKey: cert.Line, User: cert.User, Host: host, Port: port, ExpiresAt: cert.Expires.UTC()})
	}
	return err
}

// createCredentials serves POST /computers/:id/ssh-credentials.
func (a *API) createCredentials(c *gin.Context) error {
	var req struct {
		TTL *int64 `json:"ttl_seconds"`
	}
	if err := a.ReadAny(c, &req); err != nil {
		return err
	}
	ttl, err := lifetime(req.TTL)
	if err != nil {
		return err
	}
	m, err := a.computer(c)
	if err != nil {
		return err
	}
	host, port, err := a.sshDoor(c)
	if err != nil {
		return err
	}
	made, err := a.SSH.Credentials(c.Request.Context(), door.CallerOf(c), m.ID, ttl)
	if err != nil {
		return err
	}
	handle := m.Handle
	if handle == "" {
		handle = string(m.ID)
	}
	// It holds a private key: no cache may keep it.
	c.Header("Cache-Control", "no-store")
	c.JSON(http.StatusCreated, sshCredentials{ComputerID: string(m.ID), ComputerHandle: handle, User: made.Certificate.User,
		EdgeHost: host, EdgePort: port, SNI: string(m.ID) + "." + a.links.Suffix(c.Request),
		PrivateKey: made.PrivateKey, PublicKey: made.PublicKey, Certificate: made.Certificate.Line, HostKey: made.HostKey,
		ExpiresAt: made.Certificate.Expires.UTC()})
	return nil
}
